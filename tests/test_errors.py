"""How a command ends."""

import pytest

from waymark.errors import WaymarkError, exit_with_sentence


def test_a_user_s_mistake_is_one_sentence_and_exit_code_1() -> None:
    def fails() -> None:
        raise WaymarkError("the archive is damaged")

    with pytest.raises(SystemExit) as ended:
        exit_with_sentence(fails)()
    assert ended.value.code == "error: the archive is damaged"  # sys.exit prints a string and exits with 1


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (10, 10)])
def test_a_command_s_own_code_is_kept(returned: int | None, code: int) -> None:
    with pytest.raises(SystemExit) as ended:
        exit_with_sentence(lambda: returned)()
    assert ended.value.code == code


def test_a_defect_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        exit_with_sentence(lambda: 1 // 0)()
