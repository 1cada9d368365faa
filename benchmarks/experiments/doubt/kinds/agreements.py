"""What contracts and insurance policies say."""

from benchmarks.experiments.doubt import values as v
from benchmarks.experiments.doubt.kinds.field import Field
from benchmarks.experiments.doubt.kinds.field import field as _f

CONTRACT: tuple[Field, ...] = (
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
)

POLICY: tuple[Field, ...] = (
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
)
