"""`python -m noisyflywheel` is the command `noisyflywheel`."""

from noisyflywheel.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
