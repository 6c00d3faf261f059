"""Where heads come from: one file per dataset."""
