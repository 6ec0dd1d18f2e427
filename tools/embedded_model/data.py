"""The text the embedded model is trained on.

Two sources, nothing else:
  * GSM8K's training set (MIT licence): 7,473 problems and solutions written by people. 500 problems
    are held back for the measurement and 100 for watching the training; neither is ever trained on.
  * Short dialogues that dialogues.py makes.

A conversation is a list of (role, text). `render` turns it into the very string that the chat
template in export.py makes of it.
"""

import json
import random
import re

from dialogues import Conversation, make_dialogues

TEST_PROBLEMS = 500
DEV_PROBLEMS = 100
SPLIT_SEED = 20

BOS = "<|begin_of_text|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
SPECIAL_TOKENS = [BOS, TURN_START, TURN_END]

Problem = tuple[str, str]  # question, solution


def load_problems(path: str) -> list[Problem]:
    """Reads GSM8K's JSON lines; calculator marks go and the last line becomes a sentence."""
    problems = []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            solution = re.sub(r"<<[^<>]*>>", "", row["answer"])
            steps, _, result = solution.partition("####")
            solution = f"{steps.strip()}\nThe answer is {result.strip()}."
            problems.append((row["question"].strip(), solution))
    return problems


def split_problems(problems: list[Problem]) -> tuple[list[Problem], list[Problem], list[Problem]]:
    """Returns (train, dev, test): the same for everybody, whatever the seed of the training."""
    order = list(range(len(problems)))
    random.Random(SPLIT_SEED).shuffle(order)
    picked = [problems[i] for i in order]
    test = picked[:TEST_PROBLEMS]
    dev = picked[TEST_PROBLEMS : TEST_PROBLEMS + DEV_PROBLEMS]
    return picked[TEST_PROBLEMS + DEV_PROBLEMS :], dev, test


def problem_conversation(problem: Problem) -> Conversation:
    question, solution = problem
    return [("user", question), ("assistant", solution)]


def render(conversation: Conversation) -> str:
    turns = [f"{TURN_START}{role}\n{text}{TURN_END}\n" for role, text in conversation]
    return BOS + "".join(turns)


def render_plain(problem: Problem) -> str:
    """A problem as text that is no chat, for /v1/completions."""
    question, solution = problem
    return f"{BOS}Question: {question}\nAnswer: {solution}{TURN_END}"


def epoch_texts(problems: list[Problem], seed: int, dialogues: int) -> list[str]:
    """One epoch: every problem once, `dialogues` fresh dialogues, in no particular order.

    Most problems stand alone. One in five shares a conversation with others or follows some small
    talk, so that the model sees long contexts; one in twenty is plain text.
    """
    rng = random.Random(seed)
    left = problems[:]
    rng.shuffle(left)
    talk = make_dialogues(rng, dialogues)
    texts = []
    while left:
        kind = rng.random()
        if kind < 0.05:
            texts.append(render_plain(left.pop()))
        elif kind < 0.20:
            group = [left.pop() for _ in range(min(len(left), rng.choice([2, 2, 3])))]
            texts.append(render([turn for p in group for turn in problem_conversation(p)]))
        elif kind < 0.25 and talk:
            texts.append(render(talk.pop() + problem_conversation(left.pop())))
        else:
            texts.append(render(problem_conversation(left.pop())))
    texts += [render(conversation) for conversation in talk]
    rng.shuffle(texts)
    return texts
