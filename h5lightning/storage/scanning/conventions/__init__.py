"""What a file says around a dataset, by the conventions of CF, netCDF, NWB, AnnData and pandas."""
