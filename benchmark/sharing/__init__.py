"""Results for others: bundles without faces or names, their verification, and a site made of several."""
