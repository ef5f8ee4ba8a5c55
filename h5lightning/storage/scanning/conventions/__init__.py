"""Read what a file says about a dataset by the conventions of CF, netCDF, NWB, AnnData and pandas."""
