"""Which epoch a loader delivers next, which part of it is this process's, and how far it has come."""
