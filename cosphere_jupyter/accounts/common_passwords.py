"""Passwords that everybody tries first: usual words, however they are decorated, runs of keys, and repetitions."""

from __future__ import annotations

from string import digits, punctuation

FEWEST_CHARACTERS = 4
"""So many different characters a password has at least."""
SHORTEST_NUMBER, SHORTEST_PART = 12, 8
"""Shorter numbers are dates and telephone numbers; shorter parts, repeated, are no longer to guess than once."""

_ROWS = (
    "01234567890",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
    "q1w2e3r4t5y6u7i8o9p0",
    "1q2w3e4r5t6y7u8i9o0p",
    "qazwsxedcrfvtgbyhnujm",
)
_RUNS = tuple(run for row in _ROWS for run in (row, row[::-1]))
# What letters are written as.
_LETTERS = str.maketrans("013457@$!|", "oleastasil")
_DECORATION = digits + punctuation
_WORDS = frozenset(
    """
    abcdef access account admin administrator amanda america analytics andrew angel anthony arsenal ashley
    august autumn babygirl bailey banana barcelona baseball basketball batman beautiful blessed bonnie buster butterfly
    carlos changeit changeme charlie cheese chelsea chicken chocolate computer cookie corona cosphere cowboys daniel
    data dataset december default demo diamond dolphin donald dragon eagles elephant elizabeth eminem family february
    ferrari flower football forever freedom friday friends gateway ginger google guest hannah harley
    heather hello hellothere helloworld hockey hunter hunting iceman iloveyou internet isabella january jasmine jennifer
    jessica jesus jordan joshua jupyter jupyterlab justin killer laboratory lakers letmein liverpool login london lovely
    loveme loveyou maggie manager manchester marina martin master matrix matthew maverick melissa mercedes michael
    michelle mickey midnight monday monkey monster morgan mother mustang mynoob naruto nicole november nothing october
    oliver orange pass passw passwd password passwort patrick peaches pepper phoenix pikachu player please pokemon
    princess purple qwert qwerty rainbow ranger rebecca research richard robert root samantha sample school science
    scooter secret september server shadow silver slipknot snoopy soccer sophie spiderman spring starwars steelers
    summer sunday sunshine superman superstar temp temporary test tester testing thomas thunder tigger trustno
    unknown user username vanessa victoria vincent welcome whatever william winter workspace yankees
    """.split()
)  # fmt: skip


def is_common(password: str) -> bool:
    """Whether a password is among those that guessing begins with."""
    folded = password.casefold()
    if len(set(folded)) < FEWEST_CHARACTERS or _is_repeated(folded):
        return True
    if folded.isdecimal() and len(folded) < SHORTEST_NUMBER:
        return True
    bare = "".join(folded.split())
    cores = bare.strip(_DECORATION), bare.rstrip(_DECORATION).translate(_LETTERS).strip(_DECORATION)
    return any(each in _WORDS or any(len(each) > 3 and each in run for run in _RUNS) for each in (bare, *cores))


def _is_repeated(text: str) -> bool:
    """Whether a text is a part again and again, and that part would not do by itself."""
    for size in range(1, len(text) // 2 + 1):
        if text == text[:size] * (len(text) // size):
            return size < SHORTEST_PART or is_common(text[:size])
    return False
