"""The functions behind the programs of `h5lightning doctor`: they write new files and never change the originals."""
