import pytest

from noisyflywheel.cli import main


@pytest.fixture
def run(tmp_path, capsys, short_warm_up):
    """The command as a function of its arguments: exit code, output, errors."""

    def call(*arguments):
        code = main([str(a) for a in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call
