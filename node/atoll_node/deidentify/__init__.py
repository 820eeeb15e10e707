"""Make rows that may be stored out of a hospital's records."""
