"""What kind of file system a file lies on."""
