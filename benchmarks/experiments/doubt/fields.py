"""What invented documents say: labels, sentences with the value in them, and questions in other words.

A field is asked of a document that states it, where its value is the answer, and of one that does not, where there
is none. No two fields of a kind mean the same, so that a question has no second answer.
"""

from dataclasses import dataclass

from benchmarks.experiments.doubt import values as v
from benchmarks.experiments.doubt.values import Value


@dataclass(frozen=True)
class Field:
    """labels: of a line or cell. sentences: with {} where the value stands. questions: in words of a user."""

    labels: tuple[str, ...]
    sentences: tuple[str, ...]
    questions: tuple[str, ...]
    value: Value


def _field(labels: str, sentences: str, questions: str, value: Value) -> Field:
    return Field(*(tuple(part.strip() for part in text.split("|")) for text in (labels, sentences, questions)), value)


_f = _field
KINDS: dict[str, tuple[Field, ...]] = {
    "contract": (
        _f(
            "Monthly fee|Fee|Price per month",
            "The Customer pays a monthly fee of {}.|The fee is {} per month, payable in advance.|For these services the Client pays {} a month.",
            "What does the customer pay every month?|How much is the monthly fee?|What do we pay per month?|What is the monthly price?|How much does the service cost a month?",
            v.money,
        ),
        _f(
            "Deposit|Security deposit",
            "A deposit of {} is due on signing.|The Customer leaves a security of {}.",
            "How much is the deposit?|What security has to be left?|How much do we have to put down at the start?",
            v.money,
        ),
        _f(
            "Term|Duration",
            "The agreement is concluded for {}.|It runs for a fixed term of {}.",
            "How long does the contract run?|What is the term of the agreement?|For how long are we bound?",
            v.term,
        ),
        _f(
            "Notice|Notice period|Termination",
            "Either party may end the agreement with {} notice.|It can be terminated by giving {} notice in writing.",
            "What is the notice period?|How much notice must be given?|How long before must we cancel?|How can the agreement be ended early, with what notice?",
            v.term,
        ),
        _f(
            "Start|Commencement|Effective date",
            "This agreement takes effect on {}.|Work begins on {}.",
            "When does the contract begin?|From what date is the agreement valid?|When does it start?",
            v.date,
        ),
        _f(
            "Invoice due|Payment term|Payable within",
            "Invoices are payable within {}.|Each invoice has to be settled within {} of receipt.",
            "How long do we have to pay an invoice?|When must bills be paid?|What is the payment term?",
            v.term,
        ),
        _f(
            "Late interest|Default interest",
            "On late payments interest of {} is charged.|If payment is late, {} a year is added.",
            "What interest is charged on late payments?|What happens if we pay too late, how much is added?|What is the rate for overdue amounts?",
            v.percent,
        ),
        _f(
            "Penalty|Contractual penalty",
            "For each day of delay the Supplier pays a penalty of {}.|A breach costs a penalty of {}.",
            "How high is the penalty?|What does a breach cost?|What must be paid for each day of delay?",
            v.money,
        ),
        _f(
            "Liability limit|Liability",
            "Liability is limited to {} for each event.|The Provider is liable up to {}.",
            "Up to what sum is the provider liable?|How is liability capped?|What is the most that would be paid for damage?",
            v.money,
        ),
        _f(
            "Place of jurisdiction|Courts",
            "The courts of {} have jurisdiction.|Disputes are heard in {}.",
            "Which courts decide disputes?|Where would a lawsuit take place?|What is the place of jurisdiction?",
            v.town,
        ),
        _f(
            "Contact|Project manager|Contact person",
            "The contact on the Client's side is {}.|{} is responsible for the project.",
            "Who is the contact person?|Who is in charge of the project?|Whom do we talk to?",
            v.person,
        ),
        _f(
            "Supplier|Contractor|Provider",
            "The services are rendered by {}.|The contractor is {}.",
            "Who is the contractor?|Which company provides the services?|Who is the supplier?",
            v.firm,
        ),
        _f(
            "Discount|Rebate",
            "A discount of {} is granted on the annual total.|From the second year on the price falls by {}.",
            "How much discount is there?|By how much is the price reduced?|What rebate do we get?",
            v.percent,
        ),
        _f(
            "Insurance|Insured sum",
            "The Contractor keeps an insurance of at least {}.|Cover of {} must be proved.",
            "What insurance sum is required?|For how much must the contractor be insured?",
            v.money,
        ),
        _f(
            "Response time|Reaction",
            "Faults are answered within {}.|The Provider reacts within {} of a call.",
            "How fast do they react to a fault?|What is the response time?|How soon does someone come after a call?",
            v.term,
        ),
        _f(
            "Warranty|Warranty period",
            "Defects are remedied free of charge for {}.|A warranty of {} is given.",
            "How long is the warranty?|For how long are defects repaired for free?",
            v.term,
        ),
        _f(
            "Confidentiality|Secrecy",
            "The duty of secrecy ends {} after the end of the agreement.|Information is kept confidential for {}.",
            "How long must information be kept secret?|How long does confidentiality last?",
            v.term,
        ),
        _f(
            "Price adjustment|Increase",
            "Prices may rise once a year by at most {}.|An increase is limited to {}.",
            "By how much may prices rise?|What is the largest price increase allowed?",
            v.percent,
        ),
    ),
    "policy": (
        _f(
            "Holidays|Annual leave",
            "Full-time staff have {} of leave a year.|Everybody gets {} off each year.",
            "How much leave do I get?|How many days off are there?|How long is the annual holiday?",
            v.measure("days", "working days", low=20, high=36),
        ),
        _f(
            "Sick note|Certificate",
            "A doctor's certificate is needed after {}.|Illness of more than {} has to be proved.",
            "When do I need a note from the doctor?|After how long must illness be proved?",
            v.term,
        ),
        _f(
            "Travel allowance|Mileage",
            "For own cars {} a kilometre is refunded.|The mileage rate is {}.",
            "What do I get for using my own car?|What is paid per kilometre?",
            v.money,
        ),
        _f(
            "Hotel limit|Accommodation",
            "Hotels are refunded up to {} a night.|A night may cost no more than {}.",
            "How much may a hotel cost?|Up to what price can I book a room?",
            v.money,
        ),
        _f(
            "Core hours|Core time",
            "Everybody is present from {}.|The core time is {}.",
            "When do I have to be there?|What is the core time?|At which hours must everyone be reachable?",
            v.hours,
        ),
        _f(
            "Password|Password length",
            "Passwords have at least {}.|A password needs {} or more.",
            "How long must a password be?|What is the least length of passwords?",
            v.measure("characters", low=8, high=24),
        ),
        _f(
            "Approval|Approved by",
            "Purchases are approved by {}.|{} signs every order.",
            "Who approves purchases?|Who has to sign an order?",
            v.person,
        ),
        _f(
            "Gifts|Gift limit",
            "Gifts worth more than {} have to be reported.|A present may be kept up to a value of {}.",
            "What gifts may I accept?|Up to what value can a present be kept?",
            v.money,
        ),
        _f(
            "Retention|Kept for",
            "Records are kept for {} and then destroyed.|Files are deleted after {}.",
            "How long are records kept?|When are files deleted?",
            v.term,
        ),
        _f(
            "Training|Training days",
            "Each employee has {} for training a year.|{} a year may be used for courses.",
            "How much time is there for courses?|How many training days do I have?",
            v.measure("days", low=2, high=15),
        ),
        _f(
            "Report to|Data protection officer",
            "Incidents are reported to {}.|Please tell {} of any loss of data.",
            "Whom do I tell about an incident?|Who must know if data is lost?",
            v.person,
        ),
        _f(
            "Overtime|Overtime rate",
            "Overtime is paid with a supplement of {}.|Extra hours bring {} more.",
            "What supplement is paid for overtime?|How much more do I get for extra hours?",
            v.percent,
        ),
        _f(
            "Probation|Probation period",
            "The probation period is {}.|New staff are on trial for {}.",
            "How long is the probation?|For how long is one on trial?",
            v.term,
        ),
        _f(
            "Next review|Review date",
            "The policy is reviewed on {}.|It will be looked at again on {}.",
            "When is the policy reviewed?|When will these rules be looked at again?",
            v.date,
        ),
    ),
    "manual": (
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
    ),
    "minutes": (
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
    ),
    "email": (
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
    ),
    "datasheet": (
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
    ),
    "recipe": (
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
    ),
    "faq": (
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
    ),
    "log": (
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
    ),
    "letter": (
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
    ),
}

# Tables: what a row is, and its columns: (header, questions with {row}, value).
Column = tuple[str, tuple[str, ...], Value]


def _c(header: str, questions: str, value: Value) -> Column:
    return header, tuple(part.strip() for part in questions.split("|")), value


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
