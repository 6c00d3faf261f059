"""The kinds of job: what each reads, does and writes."""
