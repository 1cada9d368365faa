"""What minutes of meetings, emails and letters say."""

from benchmarks.experiments.doubt import values as v
from benchmarks.experiments.doubt.kinds.field import Field
from benchmarks.experiments.doubt.kinds.field import field as _f

MINUTES: tuple[Field, ...] = (
    _f(
        "Chair|Chaired by",
        "{} took the chair.|The meeting was led by {}.",
        "Who chaired the meeting?|Who was in the chair?|Who led the discussion?",
        v.person,
    ),
    _f(
        "Minutes|Taken by",
        "{} took the minutes.|The minutes were written by {}.",
        "Who took the minutes?|Who wrote this down?",
        v.person,
    ),
    _f(
        "Next meeting|Next date",
        "The next meeting is on {}.|We meet again on {}.",
        "When do they meet again?|When is the next meeting?",
        v.date,
    ),
    _f(
        "Budget|Approved budget",
        "A budget of {} was approved.|The committee released {}.",
        "How much money was approved?|What budget was released?",
        v.money,
    ),
    _f("Excused|Absent", "{} was excused.|{} could not come.", "Who was absent?|Who did not come?", v.person),
    _f(
        "Vote|Result of the vote",
        "The motion was carried by {}.|The proposal passed with {}.",
        "How did the vote go?|With what majority was the motion carried?",
        v.choice(
            "seven votes to two",
            "all votes",
            "five votes against four",
            "a majority of nine",
            "eleven votes with one abstention",
            "12 to 3",
        ),
    ),
    _f(
        "Deadline|Due",
        "The offers must be in by {}.|Everything has to be ready by {}.",
        "By when must it be ready?|What is the deadline?",
        v.date,
    ),
    _f(
        "Room|Venue",
        "The meeting took place in {}.|We met in {}.",
        "Where did they meet?|In which room was the meeting?",
        v.choice(
            "room 2.14",
            "the town hall",
            "the library",
            "room B 7",
            "the canteen",
            "the conference room on the third floor",
        ),
    ),
    _f(
        "Order|Contract awarded to",
        "The order goes to {}.|It was decided to hire {}.",
        "Who gets the order?|Which company was hired?",
        v.firm,
    ),
    _f(
        "Responsible|To be done by",
        "{} will ask for offers.|{} writes to the authority.",
        "Who asks for offers?|Who has to take care of it?",
        v.person,
    ),
    _f(
        "Members|Number of members",
        "The club now has {}.|At the end of the year there were {}.",
        "How many members are there?|How large is the club?",
        v.measure("members", low=20, high=900),
    ),
    _f(
        "Reason|Cause of the delay",
        "The work is late because {}.|The delay arose because {}.",
        "Why is the work late?|What caused the delay?",
        v.choice(
            "the supplier went bankrupt",
            "a permit is missing",
            "of heavy rain",
            "the parts were damaged",
            "two people fell ill",
            "the plans had to be redrawn",
        ),
    ),
)

EMAIL: tuple[Field, ...] = (
    _f(
        "Arrival|We arrive",
        "We arrive at {}.|Our train gets in at {}.",
        "When do they arrive?|At what time does the train get in?",
        v.clock,
    ),
    _f(
        "Price|Our offer",
        "We can offer it for {}.|The price would be {} in all.",
        "What do they want for it?|How much is the offer?|What is the total price?",
        v.money,
    ),
    _f(
        "Delivery|Delivery date",
        "The goods leave us on {}.|We deliver on {}.",
        "When are the goods delivered?|When will it be sent?",
        v.date,
    ),
    _f(
        "Order no.|Reference",
        "Please quote {} in your reply.|Your order has the number {}.",
        "What is the order number?|Which reference should I quote?",
        v.code,
    ),
    _f(
        "Meet|Meeting point",
        "Let us meet at {}.|I will wait for you at {}.",
        "Where do we meet?|Where will they wait?",
        v.choice(
            "the main entrance",
            "platform 4",
            "the reception",
            "the bus stop",
            "gate 12",
            "the fountain in the market square",
        ),
    ),
    _f(
        "Call me|Telephone",
        "You can call me at {}.|My number is {}.",
        "What is the telephone number?|How can I call them?",
        v.phone,
    ),
    _f(
        "Stand-in|While I am away",
        "While I am away, please ask {}.|{} stands in for me.",
        "Who stands in?|Whom do I ask while they are away?",
        v.person,
    ),
    _f(
        "Complaint|Damage",
        "Unfortunately {}.|When we opened the parcel, {}.",
        "What is the complaint?|What was wrong with the delivery?",
        v.choice(
            "two boxes were wet",
            "the lamp was broken",
            "half of the screws were missing",
            "the colour was wrong",
            "the glass had a crack",
            "the manual was in Dutch",
        ),
    ),
    _f(
        "Quantity|Number",
        "We need {} in the first delivery.|Please send {}.",
        "How many do they need?|What quantity is ordered?",
        v.measure("pieces", "boxes", "pallets", "sets"),
    ),
    _f(
        "Attachment|Attached",
        "I attach {}.|You find {} enclosed.",
        "What is attached?|What comes with the mail?",
        v.choice(
            "the signed contract",
            "three photographs",
            "a revised plan",
            "the price list",
            "last year's figures",
            "a list of guests",
        ),
    ),
    _f(
        "Account|Transfer to",
        "Please transfer the sum to account {}.|Our account is {}.",
        "To which account should I pay?|What is the account number?",
        v.code,
    ),
    _f(
        "Answer by|Reply",
        "Please let me know by {}.|I need your answer by {}.",
        "By when do they want an answer?|Until when must I reply?",
        v.date,
    ),
)

LETTER: tuple[Field, ...] = (
    _f(
        "Reference|Our sign",
        "Our reference is {}.|Please quote {}.",
        "What is the reference?|Which sign should be quoted?",
        v.code,
    ),
    _f(
        "Rent|New rent",
        "From then on the rent is {}.|You will pay {} a month for the flat.",
        "How high is the rent?|What does the flat cost?",
        v.money,
    ),
    _f(
        "Appointment|Date of the visit",
        "We shall visit you on {}.|Your appointment is on {}.",
        "When is the appointment?|On what day do they come?",
        v.date,
    ),
    _f(
        "Refund|Credit",
        "We refund {}.|You receive {} back.",
        "How much money comes back?|What is refunded?",
        v.money,
    ),
    _f(
        "Objection|Objection period",
        "You may object within {}.|Objections can be raised within {}.",
        "How long can I object?|Until when can an objection be raised?",
        v.term,
    ),
    _f(
        "Size|Living space",
        "The flat has {}.|The living space is {}.",
        "How large is the flat?|How much space is there?",
        v.measure("m²", "square metres", low=20, high=200),
    ),
    _f(
        "Enclosed|Enclosures",
        "Enclosed you find {}.|We enclose {}.",
        "What is enclosed?|What comes with the letter?",
        v.choice("two keys", "the annual bill", "a questionnaire", "a copy of the plan", "the meter card", "a map"),
    ),
    _f(
        "In charge|Clerk",
        "Your case is handled by {}.|{} is in charge of the matter.",
        "Who handles the case?|Who is in charge?",
        v.person,
    ),
    _f(
        "Reason|Because",
        "This became necessary because {}.|The reason is that {}.",
        "What is the reason?|Why was it necessary?",
        v.choice(
            "the roof leaks",
            "the heating is replaced",
            "energy has become dearer",
            "the street is rebuilt",
            "the law has changed",
        ),
    ),
    _f(
        "Heating costs|Heating",
        "Your advance for heating rises to {}.|For heating you pay {}.",
        "What do I pay for heating?|How much is the advance for heating?",
        v.money,
    ),
    _f(
        "Office hours|Hours",
        "Our office is open from {}.|You can come between {}.",
        "When is the office open?|When can I come by?",
        v.hours,
    ),
)
