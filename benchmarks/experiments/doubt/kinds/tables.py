"""What tables say: what a row is, the header of its column, and the other columns."""

from benchmarks.experiments.doubt import values as v
from benchmarks.experiments.doubt.kinds.field import Column
from benchmarks.experiments.doubt.kinds.field import column as _c
from benchmarks.experiments.doubt.values import Value

TABLES: dict[str, tuple[Value, str, tuple[Column, ...]]] = {
    "prices": (
        v.choice(
            "Oak board",
            "Pine slat",
            "Steel screw 4 x 40",
            "Wood glue",
            "Paint, white",
            "Paint, grey",
            "Sandpaper",
            "Copper pipe",
            "Garden hose",
            "Roof tile",
            "Cement",
            "Plaster",
            "Door handle",
            "Window seal",
            "Paving stone",
            "Larch board",
            "Hammer drill",
            "Ladder",
            "Wheelbarrow",
            "Tarpaulin",
        ),
        "Price list",
        (
            _c("Price", "What does the {row} cost?|How much is the {row}?|What is the price of {row}?", v.money),
            _c(
                "Unit",
                "In what unit is the {row} sold?|How is the {row} sold?",
                v.choice("piece", "metre", "box of 100", "bag", "litre", "m²", "set"),
            ),
            _c("Stock", "How many of the {row} are in stock?|How much of the {row} is there?", v.number),
            _c("Article", "What is the article number of the {row}?|How do I order the {row}?", v.code),
            _c("Delivery", "How long does delivery of the {row} take?|When can the {row} be delivered?", v.term),
            _c(
                "Discount",
                "What is taken off the {row} for larger orders?|How much discount is there on the {row}?",
                v.percent,
            ),
        ),
    ),
    "courses": (
        v.choice(
            "Spanish A1",
            "Yoga for beginners",
            "Watercolours",
            "First aid",
            "Bookkeeping",
            "Guitar",
            "Bread baking",
            "Photography",
            "Sewing",
            "Chess",
            "Pottery",
            "Nordic walking",
            "English B2",
            "Public speaking",
            "Welding",
            "Bee keeping",
        ),
        "Programme",
        (
            _c("Teacher", "Who teaches {row}?|Who gives the course {row}?", v.person),
            _c("Fee", "What does {row} cost?|How much is the course {row}?", v.money),
            _c(
                "Room",
                "Where does {row} take place?|In which room is {row}?",
                v.choice("1.02", "2.11", "gym", "hall B", "0.07", "kitchen", "workshop"),
            ),
            _c("Begins", "When does {row} start?|What is the first day of {row}?", v.date),
            _c("Time", "At what time is {row}?|When in the day is {row}?", v.hours),
            _c("Places", "How many people can take part in {row}?|How many places has {row}?", v.number),
        ),
    ),
    "staff": (
        v.person,
        "Directory",
        (
            _c("Telephone", "What is the number of {row}?|How can I call {row}?", v.phone),
            _c(
                "Room",
                "Where does {row} sit?|In which room is {row}?",
                v.choice("101", "214", "3.05", "B 12", "E 7", "017"),
            ),
            _c(
                "Department",
                "Where does {row} work?|What department is {row} in?",
                v.choice("Sales", "Purchasing", "IT", "Accounts", "Legal", "Production", "Research"),
            ),
            _c("Since", "Since when has {row} been there?|When did {row} join?", v.date),
            _c("Deputy", "Who stands in for {row}?|Who is the deputy of {row}?", v.person),
        ),
    ),
    "models": (
        v.product,
        "Types",
        (
            _c("Power", "How strong is the {row}?|What power has the {row}?", v.measure("W", "kW")),
            _c("Mass", "How heavy is the {row}?|What does the {row} weigh?", v.measure("kg", "g")),
            _c("Price", "What does the {row} cost?|How much is the {row}?", v.money),
            _c("Speed", "How fast is the {row}?|What speed does the {row} reach?", v.measure("rpm", "km/h", "m/s")),
            _c(
                "Voltage",
                "What voltage does the {row} need?|Which supply has the {row}?",
                v.measure("V", low=5, high=400),
            ),
            _c("Noise", "How loud is the {row}?|What noise does the {row} make?", v.measure("dB", low=20, high=95)),
        ),
    ),
    "trains": (
        v.town,
        "Timetable",
        (
            _c("Departure", "When does it leave {row}?|At what time is the departure from {row}?", v.clock),
            _c("Arrival", "When does it get to {row}?|When is one in {row}?", v.clock),
            _c(
                "Platform",
                "From which platform does it go in {row}?|Where does it stop in {row}?",
                v.choice("1", "2", "3a", "7", "11", "4b"),
            ),
            _c("Fare", "What is the fare to {row}?|How much is a ticket to {row}?", v.money),
            _c(
                "Change",
                "Where do I change for {row}?|How do I get on in {row}?",
                v.choice("bus 40", "tram 6", "line S3", "ferry", "taxi"),
            ),
        ),
    ),
    "tasks": (
        v.choice(
            "Roof",
            "Wiring",
            "Floor",
            "Painting",
            "Heating",
            "Windows",
            "Garden",
            "Stairs",
            "Bathroom",
            "Facade",
            "Demolition",
            "Lighting",
            "Fire alarm",
        ),
        "Plan",
        (
            _c("Responsible", "Who looks after the {row}?|Who is responsible for the {row}?", v.person),
            _c("Due", "When must the {row} be ready?|By when is the {row} due?", v.date),
            _c("Cost", "What does the {row} cost?|How much is planned for the {row}?", v.money),
            _c(
                "State",
                "How far is the {row}?|What is the state of the {row}?",
                v.choice("done", "60 % complete", "not begun", "delayed", "ordered", "under test"),
            ),
            _c("Firm", "Which company does the {row}?|Who carries out the {row}?", v.firm),
        ),
    ),
}
