"""What runs the jobs of a plan: this machine, SLURM, or a Dask cluster. The store owns keys, status and resume."""
