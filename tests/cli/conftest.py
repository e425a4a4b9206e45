import pytest

from noisyflywheel.cli import main


@pytest.fixture
def run(tmp_path, capsys):
    def call(*arguments):
        code = main([str(a) for a in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call
