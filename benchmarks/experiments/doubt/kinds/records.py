"""What data sheets, pages of frequent questions and logs say."""

from benchmarks.experiments.doubt import values as v
from benchmarks.experiments.doubt.kinds.field import Field
from benchmarks.experiments.doubt.kinds.field import field as _f

DATASHEET: tuple[Field, ...] = (
    _f(
        "Power|Rated power",
        "The rated power is {}.|It delivers {}.",
        "What is its power?|How strong is it?",
        v.measure("W", "kW", "watts"),
    ),
    _f(
        "Accuracy|Tolerance",
        "The accuracy is {}.|It measures to within {}.",
        "How accurate is it?|What is the tolerance?",
        v.choice("± 0.5 %", "± 2 mm", "± 0.1 K", "1 % of full scale", "± 3 digits", "± 0.02 bar"),
    ),
    _f(
        "Protection|Degree of protection",
        "The housing is protected to {}.|It meets {}.",
        "What protection class does it have?|How well is it protected against water and dust?",
        v.choice("IP54", "IP65", "IP67", "IP20", "IP68", "IP44"),
    ),
    _f(
        "Interface|Bus",
        "It is read out over {}.|The values are sent by {}.",
        "How is it connected to a computer?|Which interface does it have?",
        v.choice("RS-485", "CAN", "USB-C", "Modbus TCP", "Bluetooth 5.2", "I2C", "4 to 20 mA"),
    ),
    _f(
        "Dimensions|Size",
        "The housing measures {}.|Its size is {}.",
        "How large is it?|What are its dimensions?",
        v.choice("120 x 80 x 45 mm", "30 x 30 x 12 cm", "19 x 7 x 3 inches", "210 x 140 x 60 mm", "88 x 64 mm"),
    ),
    _f(
        "Range|Measuring range",
        "It measures from {}.|The range is {}.",
        "What can it measure?|What is the measuring range?",
        v.choice("0 to 10 bar", "-40 to 125 °C", "0.1 to 80 m", "5 to 95 % humidity", "1 to 500 lux"),
    ),
    _f(
        "Current|Current consumption",
        "It draws {}.|The consumption is {} in operation.",
        "How much current does it draw?|What is its consumption?",
        v.measure("mA", "A", "µA"),
    ),
    _f(
        "Material|Housing",
        "The housing is made of {}.|The body is {}.",
        "What is it made of?|Which material is the housing?",
        v.choice("stainless steel", "die-cast aluminium", "polycarbonate", "brass", "glass-fibre nylon", "ABS"),
    ),
    _f(
        "Order code|Order no.",
        "Order it as {}.|The order code is {}.",
        "What is the order number?|How do I order it?",
        v.code,
    ),
    _f(
        "Life|Service life",
        "Its service life is {}.|It lasts for {}.",
        "How long does it last?|What lifetime can be expected?",
        v.choice("50,000 hours", "10 years", "2 million cycles", "100,000 operations", "15 years"),
    ),
    _f(
        "Resolution|Resolution",
        "The resolution is {}.|It resolves {}.",
        "How fine is the resolution?|What is the smallest step?",
        v.choice("12 bit", "0.01 °C", "1 mm", "1920 x 1080", "600 dpi", "16 bit"),
    ),
    _f(
        "Certificate|Approval",
        "It is approved to {}.|It carries the mark {}.",
        "Which approvals does it have?|What standard does it meet?",
        v.choice("EN 60730", "UL 508", "ISO 9001", "ATEX zone 2", "FCC part 15", "VDE 0100"),
    ),
)

FAQ: tuple[Field, ...] = (
    _f(
        "How do I cancel?|Cancelling",
        "You cancel {}.|To cancel, write {}.",
        "How can I cancel?|What do I do to end it?",
        v.choice(
            "by e-mail",
            "in your account under Settings",
            "with the form on our page",
            "by letter",
            "at the counter",
            "in the app",
        ),
    ),
    _f(
        "What are the opening hours?|Opening hours",
        "We are open from {}.|The shop is open {}.",
        "When are you open?|At what times can I come?",
        v.hours,
    ),
    _f(
        "What does delivery cost?|Delivery cost",
        "Delivery costs {}.|We charge {} for sending.",
        "How much is the shipping?|What do I pay for delivery?",
        v.money,
    ),
    _f(
        "How long does delivery take?|Delivery time",
        "Parcels arrive within {}.|Delivery takes {}.",
        "How long until the parcel arrives?|How fast do you deliver?",
        v.term,
    ),
    _f(
        "Can I return goods?|Returns",
        "Goods can be returned within {}.|You have {} to send it back.",
        "How long can I send things back?|Until when can I return something?",
        v.term,
    ),
    _f(
        "From what age?|Age",
        "Children may take part from the age of {}.|The lowest age is {}.",
        "How old must children be?|From what age is it allowed?",
        v.measure("years", low=3, high=18),
    ),
    _f(
        "How can I pay?|Payment",
        "You can pay by {}.|We accept {}.",
        "How can I pay?|Which kinds of payment do you accept?",
        v.choice("credit card", "bank transfer", "cash only", "direct debit", "invoice", "voucher"),
    ),
    _f(
        "Is there parking?|Parking",
        "Cars can be parked {}.|There is parking {}.",
        "Where can I park?|Where do I leave the car?",
        v.choice(
            "behind the house",
            "in the garage across the street",
            "at the station",
            "in the yard",
            "along the canal",
        ),
    ),
    _f(
        "Who do I ask?|Contact",
        "Questions are answered by {}.|Please write to {}.",
        "Whom can I ask?|What is the e-mail address?",
        v.email,
    ),
    _f(
        "Are there reductions?|Reductions",
        "Pupils and pensioners get {} off.|Members pay {} less.",
        "How much is the reduction?|What do pensioners save?",
        v.percent,
    ),
    _f(
        "Membership fee|What does membership cost?",
        "Membership costs {} a year.|Members pay {} yearly.",
        "How much is membership?|What do members pay?",
        v.money,
    ),
    _f(
        "Where are you?|Address",
        "You find us at {}.|Our address is {}.",
        "Where is the shop?|What is the address?",
        v.address,
    ),
)

LOG: tuple[Field, ...] = (
    _f(
        "host|server",
        "running on {}|started on {}",
        "On which server did it run?|Which machine was it?",
        v.choice("db-04", "web-12", "node7.example", "srv-backup", "edge-31", "worker-2"),
    ),
    _f("user|by", "change made by {}|approved by {}", "Who made the change?|Who approved it?", v.person),
    _f(
        "error|fault",
        "failed: {}|error: {}",
        "What was the error?|Why did it fail?",
        v.choice(
            "disk full",
            "connection refused",
            "certificate expired",
            "out of memory",
            "checksum mismatch",
            "permission denied",
        ),
    ),
    _f(
        "duration|took",
        "finished after {}|completed in {}",
        "How long did it take?|What was the duration?",
        v.measure("s", "ms", "min", "seconds"),
    ),
    _f(
        "version|release",
        "updated to version {}|installed release {}",
        "Which version was installed?|What was it updated to?",
        v.choice("4.2.1", "2.0.0-rc1", "11.3", "7.18.4", "0.9.2", "3.6"),
    ),
    _f(
        "orders|requests",
        "{} processed|{} handled so far",
        "How many were handled?|How many requests were there?",
        v.measure("orders", "requests", "records", "jobs", high=90000),
    ),
    _f(
        "temperature|sensor",
        "sensor reads {}|temperature {}",
        "What temperature was measured?|How warm was it?",
        v.measure("°C", low=2, high=95),
    ),
    _f("ticket|case", "see ticket {}|opened case {}", "What is the ticket number?|Which case was opened?", v.code),
    _f(
        "backup|restored",
        "backup written to {}|restored from {}",
        "Where was the backup written?|Where is the backup?",
        v.choice("/mnt/vault", "tape 17", "the second site", "bucket nightly", "disk D"),
    ),
    _f(
        "cost|loss",
        "estimated loss {}|damage about {}",
        "How large is the loss?|What did the failure cost?",
        v.money,
    ),
    _f("load|cpu", "load at {}|cpu usage {}", "How high was the load?|How busy was the processor?", v.percent),
)
