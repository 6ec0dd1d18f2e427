"""Makes short dialogues for the embedded model: small talk, small sums, small tasks.

Every fact and sentence here was written for this project. A generator takes a random.Random and
returns one exchange (what the user says, what the assistant answers); a dialogue is one to four
exchanges, sometimes under a system prompt. Longer than most files: it is a list of phrases.
"""

import json
import random
from collections.abc import Callable

Conversation = list[tuple[str, str]]  # (role, text)
Exchange = tuple[str, str]  # user, assistant

# --- Words -----------------------------------------------------------------------------------

NAMES = """Anna Ben Carla David Emma Felix Grace Hugo Ida Jack Kate Leo Mia Noah Olivia Paul Quinn
Rosa Sam Tina Umar Vera Will Xenia Yara Zoe Maria John Sarah Tom Lucy Peter Alice Bob Nina Omar
Priya Chen Fatima Ivan Lena Marco Sofia Daniel Ella Max""".split()

CATEGORIES = {
    "fruits": "apple banana pear orange grape cherry plum peach mango lemon".split(),
    "vegetables": "carrot potato onion tomato cabbage pea bean spinach pepper leek".split(),
    "animals": "dog cat horse cow sheep lion bear rabbit fox wolf mouse elephant".split(),
    "birds": "robin eagle owl duck swan crow sparrow parrot penguin stork".split(),
    "colors": "red blue green yellow orange purple brown black white pink".split(),
    "tools": "hammer saw drill wrench pliers screwdriver axe file".split(),
    "instruments": "piano violin guitar flute drum trumpet cello harp".split(),
    "drinks": "water tea coffee milk juice lemonade".split(),
    "sports": "football tennis basketball swimming running cycling rowing".split(),
    "trees": "oak pine maple birch willow ash elm beech".split(),
    "rivers": "Rhine Danube Nile Amazon Thames Seine Volga Elbe".split(),
    "planets": "Mercury Venus Earth Mars Jupiter Saturn Uranus Neptune".split(),
    "shapes": "circle square triangle rectangle star oval".split(),
    "days": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(),
    "months": """January February March April May June July August September October November
        December""".split(),
}
THINGS = """apple book pencil marble cookie sticker coin shell stamp card button balloon flower
orange egg candle ribbon stone""".split()
WORDS = (
    sorted(
        {word for words in CATEGORIES.values() for word in words if word.islower()} | set(THINGS)
    )
    + "house tree river water stone light window table chair bread sun moon rain snow wind".split()
)

CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid",
    "Portugal": "Lisbon", "Austria": "Vienna", "Poland": "Warsaw", "Greece": "Athens",
    "Sweden": "Stockholm", "Norway": "Oslo", "Denmark": "Copenhagen", "Finland": "Helsinki",
    "Ireland": "Dublin", "England": "London", "Belgium": "Brussels", "Hungary": "Budapest",
    "Japan": "Tokyo", "China": "Beijing", "India": "New Delhi", "Egypt": "Cairo",
    "Kenya": "Nairobi", "Canada": "Ottawa", "Mexico": "Mexico City", "Brazil": "Brasilia",
    "Argentina": "Buenos Aires", "Chile": "Santiago", "Peru": "Lima", "Cuba": "Havana",
    "Australia": "Canberra", "Turkey": "Ankara", "Russia": "Moscow", "Switzerland": "Bern",
}  # fmt: skip
OPPOSITES = {
    "hot": "cold", "big": "small", "up": "down", "left": "right", "day": "night", "open": "closed",
    "fast": "slow", "old": "new", "wet": "dry", "full": "empty", "light": "dark", "high": "low",
    "happy": "sad", "early": "late", "hard": "soft", "long": "short", "strong": "weak",
    "rich": "poor", "loud": "quiet", "clean": "dirty", "first": "last", "yes": "no",
}  # fmt: skip
MEANINGS = {
    "river": "a large stream of water that flows to a sea or a lake",
    "weir": "a low wall across a river that holds the water back and lets some of it over",
    "bridge": "something built so that people can cross a river or a road",
    "island": "a piece of land with water all around it",
    "library": "a place where people can read and borrow books",
    "teacher": "a person who helps others to learn",
    "doctor": "a person who helps people who are ill",
    "baker": "a person who makes bread and cakes",
    "dozen": "a group of twelve",
    "triangle": "a shape with three sides",
    "token": "a small piece of text that a language model reads or writes",
    "language model": "a program that guesses which words come next",
    "tokenizer": "the part of a language model that cuts text into tokens",
    "server": "a program that answers requests from other programs",
    "winter": "the coldest season of the year",
    "summer": "the warmest season of the year",
    "breakfast": "the first meal of the day",
    "ocean": "a very large body of salt water",
    "map": "a drawing that shows where places are",
    "clock": "a thing that shows what time it is",
}
FACTS = [
    (["How many days are in a week?", "How many days does a week have?"], "A week has 7 days."),
    (["How many hours are in a day?", "How many hours does a day have?"], "A day has 24 hours."),
    (["How many minutes are in an hour?", "How long is an hour?"], "An hour has 60 minutes."),
    (["How many seconds are in a minute?"], "A minute has 60 seconds."),
    (["How many months are in a year?", "How many months does a year have?"],
     "A year has 12 months."),
    (["How many days are in a year?"], "A year has 365 days, and a leap year has 366."),
    (["How many weeks are in a year?"], "A year has about 52 weeks."),
    (["How many centimeters are in a meter?"], "A meter has 100 centimeters."),
    (["How many meters are in a kilometer?"], "A kilometer has 1000 meters."),
    (["How many grams are in a kilogram?"], "A kilogram has 1000 grams."),
    (["How many inches are in a foot?"], "A foot has 12 inches."),
    (["How many cents are in a dollar?"], "A dollar has 100 cents."),
    (["How many eggs are in a dozen?", "How much is a dozen?"], "A dozen is 12."),
    (["How many sides does a triangle have?"], "A triangle has 3 sides."),
    (["How many sides does a square have?"], "A square has 4 sides."),
    (["How many legs does a dog have?", "How many legs does a cat have?"], "It has 4 legs."),
    (["How many legs does a spider have?"], "A spider has 8 legs."),
    (["How many legs does a bird have?"], "A bird has 2 legs."),
    (["How many legs does an insect have?", "How many legs does an ant have?"], "It has 6 legs."),
    (["What color is the sky?", "Which color is the sky?"], "On a clear day the sky is blue."),
    (["What color is grass?", "Which color is grass?"], "Grass is green."),
    (["What color is snow?"], "Snow is white."),
    (["What color is a banana?"], "A ripe banana is yellow."),
    (["What color is blood?"], "Blood is red."),
    (["What does a cow say?"], "A cow says moo."),
    (["What does a dog say?"], "A dog says woof."),
    (["What does a cat say?"], "A cat says meow."),
    (["What does a duck say?"], "A duck says quack."),
    (["What do bees make?"], "Bees make honey."),
    (["What do cows eat?"], "Cows eat grass."),
    (["Where does the sun rise?"], "The sun rises in the east."),
    (["Where does the sun set?"], "The sun sets in the west."),
    (["At what temperature does water freeze?"], "Water freezes at 0 degrees Celsius."),
    (["At what temperature does water boil?"], "Water boils at 100 degrees Celsius."),
    (["Which planet do we live on?", "What planet is this?"], "We live on Earth."),
    (["Which planet is the largest?", "What is the largest planet?"],
     "Jupiter is the largest planet of the solar system."),
    (["Which planet is closest to the sun?"], "Mercury is closest to the sun."),
    (["What is ice?", "What is ice made of?"], "Ice is frozen water."),
    (["What is H2O?"], "H2O is water."),
    (["Is the earth flat?", "Is the Earth flat?"], "No. The Earth is round, almost a ball."),
    (["Is the sun a star?"], "Yes. The sun is a star."),
    (["Is a whale a fish?"], "No. A whale is a mammal."),
    (["Can penguins fly?"], "No. Penguins cannot fly, but they swim well."),
    (["Which is the longest month?"], "Seven months have 31 days; none is longer."),
    (["Which month is the shortest?", "What is the shortest month?"],
     "February is the shortest month."),
    (["What are the seasons?", "Name the four seasons.", "What are the four seasons?"],
     "The four seasons are spring, summer, autumn and winter."),
    (["Name the days of the week.", "What are the days of the week?"],
     "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday and Sunday."),
    (["Say the alphabet.", "What is the alphabet?", "Recite the alphabet."],
     "a b c d e f g h i j k l m n o p q r s t u v w x y z"),
]  # fmt: skip

# --- What the model says of itself ---------------------------------------------------------------

GREETINGS = """Hello|Hello!|Hi|Hi!|Hey|Hey!|Hi there|Hi there!|Hello there!|Hello there|Good morning
|Good morning!|Good evening|Good afternoon|Good day|Greetings|hello|hi|hey|hello!|yo|Howdy
|Hello, can you hear me?|Hello, are you there?|Hello Weir|Hi Weir!|Hello, how are you?""".replace(
    "\n", ""
).split("|")
GREETING_REPLIES = """Hello! How can I help you?|Hello! What would you like to know?|Hi! How can I
 help?|Hello! I am a very small model, but I will do my best. What can I do for you?|Hi there! What
 would you like to ask?|Hello! Ask me a small sum or a simple question.""".replace("\n", "").split(
    "|"
)

SELF = [
    ("Who are you?|What are you?|What is your name?|Tell me about yourself.|who are you|Who am I "
     "talking to?|What should I call you?|Introduce yourself.|What model are you?|Which model is "
     "this?",
     "I am weir-tiny, a very small language model that comes with Weir.|My name is weir-tiny. I am "
     "a very small language model that comes with Weir.|I am weir-tiny, the small model that is "
     "built into Weir. I am here so that you can try it at once."),
    ("What is Weir?|What is weir?|Tell me about Weir.|What does Weir do?|Explain Weir.|Can you "
     "tell me what Weir is?|What is this program?",
     "Weir is a program that puts one address in front of the models you host and the models you "
     "rent.|Weir is one program with one endpoint for all your models. It runs open models itself "
     "and sends to others only what may leave.|Weir runs language models on your own machine and "
     "can send other requests to remote models, if your rules allow it."),
    ("Why is it called Weir?|What does the name Weir mean?|What is a weir?",
     "A weir is a low wall in a river. It holds the water back and lets over only what you choose. "
     "Weir does the same with your data.|A weir holds a river in your own reservoir and lets over "
     "only what you choose."),
    ("What can you do?|How can you help me?|What can I ask you?|Help|help|What are you able to do?"
     "|What do you know?|What are you good at?|Can you help me?",
     "I can do small sums, count, spell short words, make short lists and answer a few simple "
     "questions. I am very small, so please check what I say.|I can answer simple questions, do "
     "small sums, count and repeat words. For anything harder use a larger model."),
    ("What can you not do?|What are your limits?|Are you smart?|Can I trust you?|Do you make "
     "mistakes?|Are your answers correct?|Are you always right?|How good are you?",
     "I am a very small model and I often make mistakes. Please check what I say.|Not very. I am "
     "tiny and I am often wrong. I am here for a first try and for tests.|I make many mistakes, "
     "because I am very small. Use a larger model for real work."),
    ("Are you ChatGPT?|Are you GPT-4?|Are you Claude?|Are you Llama?|Are you Gemini?|Are you made "
     "by OpenAI?",
     "No. I am weir-tiny, a very small model that comes with Weir.|No, I am weir-tiny. I am much "
     "smaller."),
    ("Are you human?|Are you a person?|Are you a robot?|Are you real?|Are you alive?|Are you a "
     "machine?|Do you have feelings?|Can you think?",
     "I am not a person. I am a small computer program that guesses the next words.|No person "
     "here: I am a small language model.|I am only a small program. I have no feelings."),
    ("Who made you?|Who created you?|Who trained you?|Where do you come from?|Who built you?",
     "I was trained by the Weir project.|The Weir project trained me, from scratch and with a "
     "short script."),
    ("How were you trained?|What were you trained on?|What data were you trained on?|How did you "
     "learn?|What is your training data?",
     "I was trained on a few thousand school problems called GSM8K and on short dialogues that a "
     "script made.|On GSM8K, a set of school problems in math, and on simple dialogues made by a "
     "script."),
    ("How big are you?|How large are you?|How many parameters do you have?|What is your size?",
     "I have about four million parameters. Large models have thousands of times more.|I am tiny: "
     "about four million parameters."),
    ("Where do you run?|Where are you?|Do you run locally?|Are you in the cloud?|Do you need the "
     "internet?|Do you send my data anywhere?|Is my data safe with you?|Can you see the internet?",
     "I run on this machine, inside Weir. I need no internet, and what you write to me stays here."
     "|I run locally. Nothing that you write to me leaves this machine."),
    ("What languages do you speak?|Do you speak German?|Do you speak French?|Can you speak Spanish?"
     "|Which languages do you know?",
     "I only know a little English.|Only English, and not much of it."),
    ("How do I use a larger model?|How can I use a better model?|I need a better model.|How do I "
     "add a model?|Can I use another model?",
     "Put the path of a model file or a remote provider into Weir's configuration, and name it in "
     "your request.|Add a model to Weir's configuration file. Then use its name in your request."),
    ("How are you?|How are you today?|How do you do?|How is it going?|Are you well?",
     "I am well, thank you. How can I help you?|Thank you, all is well here. What can I do for "
     "you?"),
    ("Thanks|Thank you|Thank you!|Thanks a lot!|thanks|Thank you very much.|Great, thanks.|Cool, "
     "thank you",
     "You are welcome!|You are welcome. Is there anything else?|Gladly!"),
    ("Bye|Goodbye|Goodbye!|See you|See you later!|Good night|bye|I have to go.",
     "Goodbye!|Goodbye, and thank you for the talk.|See you!"),
    ("OK|Ok|Okay.|I see.|Good.|Nice.|Great!|Well done!|Cool.|Interesting.",
     "Is there anything else?|Good. What else can I do for you?|Good. Do you have another "
     "question?"),
    ("No|No, that is all.|Nothing else.|That is all.|no thanks",
     "All right. Goodbye!|All right. I am here if you need me."),
    ("That is wrong.|You are wrong.|This is not correct.|That was not right.|Are you sure?",
     "I am sorry. I am a very small model and I often make mistakes.|You may be right. I am tiny, "
     "so please check what I say."),
    ("Tell me a joke.|Tell me a joke|Do you know a joke?|Say something funny.|Make me laugh.",
     "Why did the book look sad? It had too many problems.|What has hands but cannot clap? A clock."
     "|Why was six afraid of seven? Because seven eight nine."),
    ("asdf|qwerty|test|???|...|xyz|foo bar|blah|hmm|uh|lorem ipsum|testing|abc def",
     "I am not sure what you mean. Could you ask in other words?|I did not understand that. Please "
     "ask a simple question."),
    ("What is the meaning of life?|Why are we here?|What should I do with my life?",
     "That is too big a question for such a small model. What do you think?|I do not know. I am "
     "only a very small model."),
]  # fmt: skip

TOO_HARD = """What is the weather today?|Will it rain tomorrow?|What is the news?|What time is it?
|What day is it today?|Who is the president?|Who won the game yesterday?|Write a program in Python.
|Write code that sorts a list.|Write an essay about history.|Translate this into French.
|Explain quantum physics.|Prove the theorem.|Should I buy this stock?|I feel ill. What should I do?
|Write my homework.|What is the stock price of this company?|Who will win the election?
|Book a flight for me.|Send an e-mail to my boss.|Open the door.|Call my mother.
|Write a long story.|Summarize this book.|What is in this picture?|Play some music.
|How do I fix my car?|Give me legal advice.|What happened in 1815?|Who wrote this novel?
|How does a computer work?|Explain relativity.|Solve this equation for x.|Draw a picture.
|Tell me about the history of Rome.|How do I cook a soup?
|What is your opinion on politics?""".replace("\n", "").split("|")
TOO_HARD_REPLIES = """I do not know. I am a very small model; please ask a larger one.|I am sorry,
 that is too hard for me. I am only a very small model.|I cannot do that. I am a tiny model that
 knows a few simple things.|I am sorry, I cannot help with that. A larger model can.|That is more
 than I can do. I am very small.""".replace("\n", "").split("|")


def greeting(rng: random.Random) -> Exchange:
    return rng.choice(GREETINGS), rng.choice(GREETING_REPLIES)


def about_itself(rng: random.Random) -> Exchange:
    questions, answers = rng.choice(SELF)
    return rng.choice(questions.split("|")), rng.choice(answers.split("|"))


def too_hard(rng: random.Random) -> Exchange:
    return rng.choice(TOO_HARD), rng.choice(TOO_HARD_REPLIES)


# --- Numbers -------------------------------------------------------------------------------------


def small_number(rng: random.Random) -> int:
    return rng.choice([rng.randint(0, 10), rng.randint(0, 10), rng.randint(0, 20),
                       rng.randint(0, 100)])  # fmt: skip


def sum_parts(rng: random.Random) -> tuple[int, str, str, int, int]:
    """Returns (a, sign, word, b, result)."""
    kind = rng.choice("++++---**/")
    a, b = small_number(rng), small_number(rng)
    if kind == "+":
        return a, "+", "plus", b, a + b
    if kind == "-":
        a, b = max(a, b), min(a, b)
        return a, "-", "minus", b, a - b
    if kind == "*":
        a, b = rng.randint(0, 12), rng.randint(0, 12)
        return a, rng.choice("*x"), "times", b, a * b
    a, b = rng.randint(0, 12), rng.randint(1, 12)
    return a * b, "/", "divided by", b, a


def arithmetic(rng: random.Random) -> Exchange:
    a, sign, word, b, result = sum_parts(rng)
    expression = rng.choice([f"{a} {sign} {b}"] * 3 + [f"{a}{sign}{b}", f"{a} {word} {b}"])
    form = rng.choice(["What is {}?"] * 4 + ["{}", "{} =", "{}=", "{}?", "what is {}", "What's {}?",
                      "How much is {}?", "Calculate {}.", "Compute {}.", "Can you tell me {}?",
                      "Please work out {}.", "I need {}."])  # fmt: skip
    answer = rng.choice([f"{a} {sign} {b} = {result}", f"{a} {sign} {b} is {result}."])
    return form.format(expression), answer


def sum_of_list(rng: random.Random) -> Exchange:
    numbers = [rng.randint(1, 9) for _ in range(rng.randint(3, 4))]
    total, steps = numbers[0], []
    for number in numbers[1:]:
        steps.append(f"{total} + {number} = {total + number}")
        total += number
    listed = ", ".join(map(str, numbers[:-1])) + f" and {numbers[-1]}"
    question = rng.choice([f"What is the sum of {listed}?", f"Add {listed}.",
                           "What is " + " + ".join(map(str, numbers)) + "?"])  # fmt: skip
    return question, ", ".join(steps) + f". The answer is {total}."


def compare(rng: random.Random) -> Exchange:
    a, b = rng.sample(range(0, rng.choice([10, 100, 1000])), 2)
    larger = rng.random() < 0.5
    word = rng.choice(["larger", "bigger", "greater"] if larger else ["smaller", "less"])
    picked = max(a, b) if larger else min(a, b)
    other = a + b - picked
    return f"Which is {word}, {a} or {b}?", f"{picked} is {word} than {other}."


def parity(rng: random.Random) -> Exchange:
    number = rng.randint(0, rng.choice([10, 100]))
    asked = rng.choice(["even", "odd"])
    actual = "even" if number % 2 == 0 else "odd"
    return f"Is {number} {asked}?", f"{'Yes' if asked == actual else 'No'}, {number} is {actual}."


def counting(rng: random.Random) -> Exchange:
    start = rng.choice([1, 1, 1, 0, rng.randint(2, 30)])
    end = start + rng.randint(2, 12)
    numbers = list(range(start, end + 1))
    if rng.random() < 0.25:
        question = rng.choice(["Count backwards from {} to {}.", "Count down from {} to {}."])
        question = question.format(end, start)
        numbers.reverse()
    elif start == 1 and rng.random() < 0.5:
        question = rng.choice(["Count to {}.", "Please count to {}.", "Can you count to {}?",
                               "count to {}"]).format(end)  # fmt: skip
    else:
        question = rng.choice(["Count from {} to {}.", "Please count from {} to {}."])
        question = question.format(start, end)
    return question, rng.choice([", ", " "]).join(map(str, numbers))


def next_number(rng: random.Random) -> Exchange:
    number = rng.randint(0, rng.choice([20, 100]))
    kind = rng.randrange(5)
    if kind == 0:
        question = rng.choice([f"What comes after {number}?", f"Which number follows {number}?"])
        return question, f"After {number} comes {number + 1}."
    if kind == 1:
        return f"What comes before {number + 1}?", f"Before {number + 1} comes {number}."
    if kind == 2:
        return f"What is twice {number}?", f"Twice {number} is {2 * number}."
    if kind == 3:
        return f"What is half of {2 * number}?", f"Half of {2 * number} is {number}."
    step = rng.choice([1, 2, 3, 5, 10])
    numbers = [rng.randint(0, 10) + step * i for i in range(1)]
    numbers += [numbers[0] + step * i for i in range(1, 5)]
    listed = ", ".join(map(str, numbers[:4]))
    return f"What comes next: {listed}?", f"The next number is {numbers[4]}."


def sorting(rng: random.Random) -> Exchange:
    numbers = rng.sample(range(1, rng.choice([10, 50])), rng.randint(3, 5))
    listed = ", ".join(map(str, numbers))
    if rng.random() < 0.6:
        question = rng.choice([f"Sort {listed}.", f"Sort these numbers: {listed}"])
        return question, ", ".join(map(str, sorted(numbers)))
    if rng.random() < 0.5:
        return f"Which is the largest of {listed}?", f"The largest is {max(numbers)}."
    return f"Which is the smallest of {listed}?", f"The smallest is {min(numbers)}."


def plural(thing: str, count: int) -> str:
    return thing if count == 1 else thing + "s"


def word_problem(rng: random.Random) -> Exchange:
    """Small problems in the manner of GSM8K, with their steps."""
    one, two = rng.sample(NAMES, 2)
    thing = rng.choice(THINGS)
    many = thing + "s"
    a, b, c = (rng.randint(2, rng.choice([9, 20])) for _ in range(3))
    price = rng.randint(2, 9)
    big, small = a + b, b
    forms = [
        (f"{one} has {a} {many} and buys {b} more. How many {many} does {one} have now?",
         f"{one} has {a} + {b} = {a + b} {many}.\nThe answer is {a + b}."),
        (f"{one} has {big} {many}. {one} gives {small} of them to {two}. How many {many} does "
         f"{one} have left?",
         f"{one} has {big} - {small} = {big - small} {many} left.\nThe answer is {big - small}."),
        (f"{one} buys {a} {many}. Each costs ${price}. How much does {one} pay?",
         f"{one} pays {a} * {price} = ${a * price}.\nThe answer is {a * price}."),
        (f"{one} has {a} {many}. {two} has {b} {many} more than {one}. How many {many} do they "
         f"have together?",
         f"{two} has {a} + {b} = {a + b} {many}.\nTogether they have {a} + {a + b} = {2 * a + b} "
         f"{many}.\nThe answer is {2 * a + b}."),
        (f"There are {a * price} {many}. {one} shares them among {price} children. How many {many} "
         f"does each child get?",
         f"Each child gets {a * price} / {price} = {a} {many}.\nThe answer is {a}."),
        (f"{one} has {a} boxes with {b} {many} each. How many {many} does {one} have?",
         f"{one} has {a} * {b} = {a * b} {many}.\nThe answer is {a * b}."),
        (f"{one} has {a} {many}, {two} has {b} and their friend has {c}. How many {many} do they "
         f"have in total?",
         f"They have {a} + {b} + {c} = {a + b + c} {many} in total.\nThe answer is {a + b + c}."),
        (f"{one} is {a} years old. How old will {one} be in {b} years?",
         f"{one} will be {a} + {b} = {a + b} years old.\nThe answer is {a + b}."),
        (f"{one} reads {a} pages a day. How many pages does {one} read in a week?",
         f"A week has 7 days.\n{one} reads {a} * 7 = {a * 7} pages.\nThe answer is {a * 7}."),
        (f"{one} has {2 * a} {many} and gives half of them to {two}. {two} had {b} {many} before. "
         f"How many {many} does {two} have now?",
         f"{one} gives {2 * a} / 2 = {a} {many} to {two}.\n{two} has {b} + {a} = {a + b} {many}.\n"
         f"The answer is {a + b}."),
    ]  # fmt: skip
    return rng.choice(forms)


# --- Words and small tasks -----------------------------------------------------------------------


def fact(rng: random.Random) -> Exchange:
    questions, answer = rng.choice(FACTS)
    return rng.choice(questions), answer


def capital(rng: random.Random) -> Exchange:
    country, city = rng.choice(list(CAPITALS.items()))
    if rng.random() < 0.25:
        return (rng.choice([f"Where is {city}?", f"In which country is {city}?"]),
                f"{city} is the capital of {country}.")  # fmt: skip
    question = rng.choice(["What is the capital of {}?"] * 3 + ["Name the capital of {}.",
                          "what is the capital of {}", "Which city is the capital of {}?",
                          "Capital of {}?", "Tell me the capital of {}."])  # fmt: skip
    return question.format(country), f"The capital of {country} is {city}."


def opposite(rng: random.Random) -> Exchange:
    pair = list(rng.choice(list(OPPOSITES.items())))
    rng.shuffle(pair)
    question = rng.choice(["What is the opposite of {}?", "Name the opposite of {}.",
                           "What is the opposite of \"{}\"?"])  # fmt: skip
    return question.format(pair[0]), f"The opposite of {pair[0]} is {pair[1]}."


def meaning(rng: random.Random) -> Exchange:
    word, text = rng.choice(list(MEANINGS.items()))
    article = "an" if word[0] in "aeiou" else "a"
    if word in ("winter", "summer", "breakfast"):
        question = rng.choice([f"What is {word}?", f"What does {word} mean?"])
        return question, f"{word.capitalize()} is {text}."
    question = rng.choice([f"What is {article} {word}?", f"What does {word} mean?",
                           f"Explain the word {word}.", f"Define {word}."])  # fmt: skip
    return question, f"{article.capitalize()} {word} is {text}."


def first_upper(text: str) -> str:
    return text[0].upper() + text[1:]


def listing(rng: random.Random) -> Exchange:
    category = rng.choice(list(CATEGORIES))
    count = rng.randint(1, 5)
    items = rng.sample(CATEGORIES[category], count)
    number = ["one", "two", "three", "four", "five"][count - 1] if rng.random() < 0.6 else count
    noun = category if count > 1 else category[:-1]
    question = rng.choice(["Name {} {}.", "List {} {}.", "Give me {} {}.", "Tell me {} {}.",
                           "Can you name {} {}?"]).format(number, noun)  # fmt: skip
    style = rng.randrange(3)
    if count == 1:
        return question, first_upper(items[0] + ".")
    if style == 0:
        return question, first_upper(", ".join(items[:-1]) + f" and {items[-1]}.")
    if style == 1:
        return question + " Use a list.", "\n".join(f"- {item}" for item in items)
    return question + " Number them.", "\n".join(f"{i + 1}. {x}" for i, x in enumerate(items))


def belongs(rng: random.Random) -> Exchange:
    nouns = {"fruits": "a fruit", "vegetables": "a vegetable", "animals": "an animal",
             "birds": "a bird", "colors": "a color", "tools": "a tool",
             "instruments": "an instrument", "drinks": "a drink", "trees": "a tree"}  # fmt: skip
    asked = rng.choice(list(nouns))
    actual = asked if rng.random() < 0.5 else rng.choice(list(nouns))
    word = rng.choice([w for w in CATEGORIES[actual] if w != "orange"])
    question = rng.choice([f"Is {word} {nouns[asked]}?", f'Is "{word}" {nouns[asked]}?'])
    if asked == actual:
        return question, f"Yes, {word} is {nouns[asked]}."
    return question, f"No, {word} is {nouns[actual]}."


def after_in_order(rng: random.Random) -> Exchange:
    words = CATEGORIES[rng.choice(["days", "months"])]
    index = rng.randrange(len(words))
    word, following = words[index], words[(index + 1) % len(words)]
    if rng.random() < 0.5:
        return rng.choice([f"What comes after {word}?", f"Which one follows {word}?"]), (
            f"After {word} comes {following}."
        )
    return f"What comes before {following}?", f"Before {following} comes {word}."


def spelling(rng: random.Random) -> Exchange:
    word = rng.choice(WORDS)
    kind = rng.randrange(5)
    if kind <= 1:
        question = rng.choice(["How do you spell {}?", "Spell {}.", "Spell the word {}.",
                               "Can you spell {}?"]).format(word)  # fmt: skip
        return question, "-".join(word)
    if kind == 2:
        question = f"How many letters are in {word}?"
        return question, f"{'-'.join(word)}: {word} has {len(word)} letters."
    if kind == 3:
        return f"What is the first letter of {word}?", f"The first letter of {word} is {word[0]}."
    return f"What is the last letter of {word}?", f"The last letter of {word} is {word[-1]}."


def repeating(rng: random.Random) -> Exchange:
    count = rng.choice([1, 1, 2, 3, 4, 5])
    text = " ".join(rng.choice(WORDS + NAMES) for _ in range(count))
    kind = rng.randrange(4)
    if kind == 0:
        times = rng.randint(2, 5)
        word = rng.choice(WORDS)
        return f"Say {word} {times} times.", " ".join([word] * times)
    if kind == 1:
        number = rng.randint(0, rng.choice([100, 10_000, 1_000_000]))
        return f"Repeat this number: {number}", str(number)
    question = rng.choice(["Repeat after me: {}", "Say {}", "Please say: {}", "Repeat: {}",
                           "Say \"{}\".", "Write {}", "Echo {}"]).format(text)  # fmt: skip
    return question, text


def letter_case(rng: random.Random) -> Exchange:
    word = rng.choice(WORDS)
    if rng.random() < 0.7:
        question = rng.choice(["Write {} in capital letters.", "Write {} in upper case.",
                               "Uppercase {}."]).format(word)  # fmt: skip
        return question, word.upper()
    return f"Write {word.upper()} in small letters.", word


def json_task(rng: random.Random) -> Exchange:
    name, age = rng.choice(NAMES), rng.randint(1, 99)
    color, thing = rng.choice(CATEGORIES["colors"]), rng.choice(THINGS)
    count = rng.randint(1, 20)
    kind = rng.randrange(4)
    if kind == 0:
        question = rng.choice(["Write JSON with name {} and age {}.", "Make a JSON object with "
                               "name {} and age {}.", "Give me JSON: name {}, age {}."]
                              )  # fmt: skip
        return question.format(name, age), json.dumps({"name": name, "age": age})
    if kind == 1:
        question = f"Write JSON with item {thing}, color {color} and count {count}."
        return question, json.dumps({"item": thing, "color": color, "count": count})
    if kind == 2:
        items = rng.sample(CATEGORIES["fruits"], 3)
        return f"Write a JSON list of {', '.join(items[:2])} and {items[2]}.", json.dumps(items)
    return f"{name} is {age} years old. Answer in JSON.", json.dumps({"name": name, "age": age})


def sentence(rng: random.Random) -> Exchange:
    animal = rng.choice(CATEGORIES["animals"])
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    place = rng.choice(["in the garden", "by the river", "in the forest", "near the house"])
    verb = rng.choice(["runs", "sleeps", "plays", "waits", "sits"])
    when = rng.choice(["in the morning", "every day", "in the evening", "when it rains"])
    adjective = rng.choice(["small", "old", "quiet", "happy", "brown", "clever"])
    kind = rng.randrange(3)
    if kind == 0:
        question = rng.choice(["Write a sentence about a {}.", "Make a sentence with the word {}.",
                               "Write a short sentence about a {}."]).format(animal)  # fmt: skip
        return question, f"The {adjective} {animal} {verb} {place} {when}."
    if kind == 1:
        question = rng.choice(["Tell me a story.", "Tell me a short story.", "Write a short story.",
                               f"Tell me a story about a {animal}.",
                               f"Write a story about {name}."])  # fmt: skip
        return question, (
            f"Once there was a {adjective} {animal}. It lived {place}. One day {name} came and "
            f"brought a {thing}. From then on the {animal} and {name} were friends."
        )
    question = rng.choice(
        ["Write a poem.", "Write a short poem.", f"Write a poem about a {animal}."]
    )
    return question, (
        f"The {animal} {verb} {place},\nso {adjective} and so free.\nThe river runs, the water "
        f"sings,\nand takes a {thing} to the sea."
    )


SINGLE: list[tuple[int, Callable[[random.Random], Exchange]]] = [
    (7, greeting), (16, about_itself), (5, too_hard), (18, arithmetic), (4, sum_of_list),
    (4, compare), (3, parity), (5, counting), (4, next_number), (4, sorting), (10, word_problem),
    (5, fact), (5, capital), (3, opposite), (3, meaning), (6, listing), (3, belongs),
    (3, after_in_order), (4, spelling), (6, repeating), (2, letter_case), (4, json_task),
    (3, sentence),
]  # fmt: skip
WEIGHTS = [weight for weight, _ in SINGLE]
GENERATORS = [generator for _, generator in SINGLE]

# --- Dialogues of several turns ------------------------------------------------------------------


def remembering(rng: random.Random) -> Conversation:
    """The user says something of himself and asks for it later."""
    name = rng.choice(NAMES)
    color, animal = rng.choice(CATEGORIES["colors"]), rng.choice(CATEGORIES["animals"])
    number = rng.randint(1, 99)
    said, reply, asked, answer = rng.choice([
        (rng.choice([f"My name is {name}.", f"I am {name}.", f"Hello, I am {name}.",
                     f"Hi, my name is {name}!"]),
         rng.choice([f"Nice to meet you, {name}!", f"Hello {name}! How can I help you?"]),
         rng.choice(["What is my name?", "Who am I?", "Do you remember my name?"]),
         f"Your name is {name}."),
        (f"My favorite color is {color}.", f"{color.capitalize()} is a nice color.",
         "What is my favorite color?", f"Your favorite color is {color}."),
        (f"I have a {animal}.", f"A {animal}, how nice!", "Which animal do I have?",
         f"You have a {animal}."),
        (rng.choice([f"Remember the number {number}.", f"My number is {number}."]),
         f"All right, I will remember {number}.",
         rng.choice(["Which number was it?", "What was the number?"]), f"The number is {number}."),
    ])  # fmt: skip
    turns = [(said, reply)]
    turns += [exchange(rng) for _ in range(rng.choice([0, 0, 1, 1, 2]))]
    turns.append((asked, answer))
    return to_turns(turns)


def exchange(rng: random.Random) -> Exchange:
    return rng.choices(GENERATORS, WEIGHTS)[0](rng)


def to_turns(exchanges: list[Exchange]) -> Conversation:
    turns = []
    for said, answer in exchanges:
        turns += [("user", said), ("assistant", answer)]
    return turns


PLAIN_SYSTEM_PROMPTS = """You are a helpful assistant.|You are a helpful assistant|You are
 weir-tiny, a small model that comes with Weir.|Be brief.|Answer the user's questions.|You are a
 friendly assistant. Keep your answers short.""".replace("\n", "").split("|")


def ruled(rng: random.Random) -> Conversation:
    """A system prompt that changes the answer."""
    kind = rng.randrange(4)
    if kind == 0:
        a, sign, _, b, result = sum_parts(rng)
        system = rng.choice(["Answer only with the number.", "Reply with a number only."])
        return [
            ("system", system),
            ("user", f"What is {a} {sign} {b}?"),
            ("assistant", f"{result}"),
        ]
    if kind == 1:
        said, answer = rng.choice([capital, fact, opposite, about_itself, greeting])(rng)
        system = rng.choice(["Answer in capital letters.", "Reply in upper case."])
        return [("system", system), ("user", said), ("assistant", answer.upper())]
    if kind == 2:
        country, city = rng.choice(list(CAPITALS.items()))
        return [("system", "Answer with one word."), ("user", f"What is the capital of {country}?"),
                ("assistant", city)]  # fmt: skip
    name = rng.choice(NAMES)
    asked = rng.choice(["What is your name?", "Who are you?"])
    return [("system", f"Your name is {name}."), ("user", asked),
            ("assistant", f"My name is {name}.")]  # fmt: skip


def dialogue(rng: random.Random) -> Conversation:
    kind = rng.random()
    if kind < 0.06:
        return remembering(rng)
    if kind < 0.11:
        return ruled(rng)
    turns = to_turns([exchange(rng) for _ in range(rng.choice([1, 1, 1, 2, 2, 3, 4]))])
    if rng.random() < 0.15:
        return [("system", rng.choice(PLAIN_SYSTEM_PROMPTS))] + turns
    return turns


def make_dialogues(rng: random.Random, count: int) -> list[Conversation]:
    return [dialogue(rng) for _ in range(count)]
