from humanunits.__main__ import main


def test_each_argument_is_explained(capsys):
    assert main(["2h 30m", "10MB"]) == 0
    assert capsys.readouterr().out == "2h 30m = 9000.0 s\n10MB = 10000000 bytes\n"


def test_an_argument_without_meaning_fails(capsys):
    assert main(["soon"]) == 1
    assert "neither" in capsys.readouterr().err
