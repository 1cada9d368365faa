"""What manuals and recipes say."""

from benchmarks.experiments.doubt import values as v
from benchmarks.experiments.doubt.kinds.field import Field
from benchmarks.experiments.doubt.kinds.field import field as _f

MANUAL: tuple[Field, ...] = (
    _f(
        "Supply voltage|Mains",
        "Connect the appliance to {} only.|The supply must be {}.",
        "What voltage does it need?|Which supply does the device run on?",
        v.measure("V", "volts", low=5, high=400),
    ),
    _f(
        "Weight|Mass",
        "The appliance weighs {}.|Without accessories its mass is {}.",
        "How heavy is it?|What does the device weigh?",
        v.measure("kg", "g", "kilograms"),
    ),
    _f(
        "Filter|Clean the filter",
        "Clean the filter every {}.|The filter is washed after {}.",
        "How often is the filter cleaned?|When should I wash the filter?",
        v.term,
    ),
    _f(
        "Tank|Capacity",
        "The tank holds {}.|Fill in no more than {}.",
        "How much water goes in?|How large is the tank?|What is the capacity?",
        v.measure("litres", "l", "ml"),
    ),
    _f(
        "Torque|Tightening torque",
        "Tighten the screws with {}.|The cover screws need {}.",
        "How tight do the screws have to be?|What torque is needed?",
        v.measure("Nm", low=1, high=90),
    ),
    _f(
        "Noise|Sound level",
        "In operation it makes {} of noise.|The sound level is {}.",
        "How loud is it?|What is the noise level?",
        v.measure("dB", "dB(A)", low=20, high=95),
    ),
    _f(
        "Operating temperature|Ambient",
        "Use it only between {}.|The room must have {}.",
        "At what temperatures may it be used?|How warm may the room be?",
        v.choice("5 and 40 °C", "0 to 35 °C", "-10 to 50 °C", "10 and 30 °C", "-20 to 60 °C", "15 to 25 °C"),
    ),
    _f(
        "Warranty|Guarantee",
        "The manufacturer gives a guarantee of {}.|It is guaranteed for {}.",
        "How long is the guarantee?|For how long is it under warranty?",
        v.term,
    ),
    _f(
        "Reset|To reset",
        "To reset the device, {}.|If nothing else helps, {}.",
        "How do I reset it?|What do I do to restart the device?",
        v.choice(
            "hold the power key for ten seconds",
            "press both buttons at once",
            "pull the plug and wait a minute",
            "turn the dial to zero",
            "open the cover and press the red switch",
            "remove the battery for a moment",
        ),
    ),
    _f(
        "Distance|Clearance",
        "Leave {} to the wall.|Keep a distance of at least {} on each side.",
        "How far from the wall must it stand?|How much space is needed around it?",
        v.measure("cm", "mm", "m", low=2, high=90),
    ),
    _f(
        "Service|Customer service",
        "Customer service can be reached at {}.|If it fails, call {}.",
        "What number do I call for service?|How do I reach the customer service?",
        v.phone,
    ),
    _f(
        "Error E3|E3",
        "The code E3 means {}.|If E3 is shown, there is {}.",
        "What does E3 mean?|What is wrong if the display shows E3?",
        v.choice(
            "a blocked pump", "low pressure", "an open door", "an overheated motor", "a faulty sensor", "no water"
        ),
    ),
    _f(
        "Running time|Battery life",
        "A full battery lasts for {}.|It runs {} on one charge.",
        "How long does the battery last?|How long does it run on a charge?",
        v.term,
    ),
    _f(
        "Lubricant|Grease",
        "Grease the bearing with {}.|Use {} for the chain.",
        "What grease do I use?|Which lubricant is right?",
        v.choice(
            "silicone grease",
            "lithium grease",
            "light machine oil",
            "graphite powder",
            "white spirit",
            "food-grade oil",
        ),
    ),
)

RECIPE: tuple[Field, ...] = (
    _f(
        "Serves|For",
        "The recipe is enough for {}.|It serves {}.",
        "How many people does it feed?|For how many is it?",
        v.measure("people", "persons", "portions", low=2, high=20),
    ),
    _f(
        "Oven|Temperature",
        "Heat the oven to {}.|Bake at {}.",
        "How hot must the oven be?|At what temperature is it baked?",
        v.measure("°C", "°F", "degrees", low=120, high=260),
    ),
    _f(
        "Baking time|In the oven",
        "Bake for {}.|It stays in the oven for {}.",
        "How long is it baked?|How long does it stay in the oven?",
        v.measure("minutes", low=8, high=95),
    ),
    _f(
        "Rest|Resting time",
        "Let the dough rest for {}.|Leave it in the cold for {}.",
        "How long does the dough rest?|How long must it stand?",
        v.measure("hours", "minutes", low=2, high=48),
    ),
    _f(
        "Flour|Flour",
        "Take {} of flour.|Sieve {} of flour into a bowl.",
        "How much flour do I need?|What amount of flour goes in?",
        v.measure("g", "grams", "cups", low=2, high=900),
    ),
    _f(
        "Sugar|Sugar",
        "Add {} of sugar.|Stir in {} of sugar.",
        "How much sugar is in it?|What amount of sugar do I add?",
        v.measure("g", "tablespoons", "cups", low=2, high=300),
    ),
    _f(
        "Butter|Butter",
        "Melt {} of butter.|Rub in {} of butter.",
        "How much butter is needed?|What amount of butter do I take?",
        v.measure("g", "tablespoons", "ounces", low=2, high=300),
    ),
    _f(
        "Eggs|Eggs",
        "Beat {} until foamy.|Separate {}.",
        "How many eggs are in it?|How many eggs do I beat?",
        v.choice("two eggs", "3 eggs", "4 eggs", "six eggs", "1 egg", "five eggs"),
    ),
    _f(
        "Instead|Replacement",
        "Instead of cream you can take {}.|Without milk, use {}.",
        "What can I take instead?|What replaces the cream?",
        v.choice("coconut milk", "oat milk", "plain yoghurt", "soy cream", "buttermilk", "quark"),
    ),
    _f(
        "Keeps|Storage",
        "In a tin it keeps for {}.|It stays fresh for {}.",
        "How long does it keep?|How long can I store it?",
        v.term,
    ),
    _f(
        "Energy|Calories",
        "A portion has {}.|Each piece contains {}.",
        "How many calories does it have?|How much energy is in a portion?",
        v.measure("kcal", "kJ", low=90, high=900),
    ),
    _f(
        "Serve with|Goes with",
        "Serve it with {}.|It goes well with {}.",
        "What is it served with?|What goes with it?",
        v.choice("vanilla sauce", "a green salad", "boiled potatoes", "whipped cream", "rice", "sour cream"),
    ),
)
