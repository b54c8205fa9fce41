"""The database, the blobs, and the folder's organisations and clock. It knows no HTTP."""
