"""The words of the generated world, in lists by their part in a sentence."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ANIMALS = _words(
    "fox bear rabbit hedgehog owl mouse cat dog horse cow sheep goat pig duck goose hen swan crow robin sparrow "
    "frog toad "
    "turtle snail beetle ant bee butterfly spider squirrel badger otter beaver deer wolf lion tiger elephant giraffe "
    "monkey parrot penguin seal whale dolphin crab donkey pony kitten puppy lamb mole bat eagle heron pigeon "
    "camel zebra rhino panda koala kangaroo ostrich peacock falcon hawk raven magpie lizard snake crocodile "
    "octopus lobster shrimp salmon trout worm moth wasp cricket grasshopper ladybird hamster ferret weasel moose "
    "bison buffalo leopard cheetah"
)
PEOPLE = _words(
    "baker farmer miller sailor teacher doctor painter singer dancer gardener shepherd fisherman king queen prince "
    "princess knight wizard witch giant captain cook nurse pilot postman librarian carpenter blacksmith weaver tailor "
    "clown juggler hunter guard merchant inventor engineer farmhand explorer pirate monk emperor duke mayor "
    "judge lawyer scientist poet writer drummer piper plumber barber butcher grocer student neighbour "
    "grandmother grandfather uncle aunt cousin brother sister"
)
PLACES = _words(
    "forest village town castle garden meadow valley mountain hill river lake pond island beach cave farm barn mill "
    "harbour market school library kitchen bakery tower bridge desert jungle field orchard park museum theatre "
    "station lighthouse cottage palace stable workshop cellar attic courtyard street road path tunnel swamp canyon "
    "waterfall vineyard shore cliff"
)
THINGS = _words(
    "ball book key map lamp clock bell drum flute violin kite boat wagon basket bucket ladder hammer needle button "
    "blanket pillow coat hat scarf glove shoe boot ring crown sword shield box chest bottle cup plate spoon fork knife "
    "pot pan broom candle mirror window door chair table bed bench wheel rope net flag letter pencil brush paint paper "
    "coin jewel necklace ribbon puzzle doll puppet whistle trumpet telescope compass lantern umbrella bag sack purse "
    "wallet stamp envelope picture statue vase jar barrel crate shovel rake spade saw nail axe chain anchor sail oar "
    "feather shell stone pebble stick log leaf acorn balloon sled bicycle cart carriage train ship cradle cushion "
    "curtain carpet towel soap comb thread cloak apron belt pocket mask toy robot magnet parcel hook hose lid "
    "mug jug pin quilt rug bin oven fan drill brick tile plank rail gate fence post sign marble dice card tent "
    "teapot kettle oven stove bowl tray napkin saucer pitcher notebook pen ruler backpack suitcase ticket poster"
)
FOODS = _words(
    "apple pear plum cherry peach banana orange lemon grape berry melon carrot potato tomato onion cabbage "
    "pumpkin bean "
    "mushroom nut cake pie cookie pancake muffin sandwich soup stew bread roll bun cheese egg honey jam pudding "
    "biscuit "
    "salad sausage pepper pea cucumber almond walnut peanut raisin lime apricot pineapple mango olive omelette "
    "pizza burger toffee candy lollipop noodle dumpling waffle tart turnip radish"
)
NATURE = _words(
    "tree flower bush rose daisy tulip sunflower oak pine willow branch root seed cloud star shadow rainbow storm wave "
    "breeze puddle stream spring nest hive burrow hollow rock boulder vine fern weed petal thorn snowflake "
    "icicle raindrop sunbeam moonbeam sunset sunrise morning evening"
)
BODY = _words("hand nose ear eye tail paw wing head shoulder knee elbow finger toe cheek chin arm leg neck back heart")
IDEAS = _words(
    "idea plan dream secret song story game promise question answer joke riddle surprise gift prize lesson wish trick "
    "journey adventure party feast holiday birthday race contest dance parade picnic mistake reason concert "
    "speech poem rhyme sentence chapter tale legend hobby talent habit rule message sound "
    "smell colour shape number word name friend helper visitor stranger traveller hero team crowd family"
)
ADJECTIVES = _words(
    "little big small large tall short old young new tiny huge giant wide narrow deep shallow thick thin heavy "
    "light soft "
    "hard smooth rough sharp round flat straight crooked warm cold hot cool wet dry clean dirty bright dark shiny dull "
    "quiet loud noisy silent fast slow quick lazy busy brave shy kind gentle clever wise foolish silly funny serious "
    "happy sad angry proud lonely hungry thirsty sleepy tired curious careful careless honest polite rude patient "
    "cheerful grumpy friendly generous greedy humble jealous nervous calm merry jolly lucky unlucky strong weak "
    "healthy "
    "rich poor famous strange odd plain fancy pretty beautiful handsome ugly lovely wonderful marvellous "
    "splendid magic "
    "golden silver wooden woollen rusty dusty muddy sandy stony grassy leafy snowy icy rainy windy foggy misty sunny "
    "cloudy stormy sweet sour bitter salty spicy fresh ripe rotten crunchy sticky fluffy furry fuzzy feathery striped "
    "spotted colourful pale rosy sparkling glowing gleaming broken empty full open hidden secret lost ancient modern "
    "simple gigantic enormous mighty delicate fragile sturdy cosy peaceful lively wild tame steep distant nearby "
    "special ordinary perfect clumsy graceful eager grateful hopeful playful thoughtful stubborn daring bold "
    "timid faithful loyal friendly charming elegant mysterious enchanted crystal velvet"
)
FEELINGS = _words(
    "happy sad angry proud lonely hungry thirsty sleepy tired curious nervous calm cheerful grumpy jealous hopeful "
    "grateful surprised excited worried frightened delighted bored confused pleased"
)
COLOURS = _words("red green blue yellow orange purple pink brown black white grey")
ADVERBS = _words(
    "quickly slowly quietly loudly softly gently carefully bravely happily sadly angrily proudly kindly politely "
    "eagerly "
    "patiently suddenly finally gladly calmly nervously cheerfully lazily busily cleverly wisely secretly silently "
    "warmly sweetly brightly merrily boldly shyly gracefully clumsily playfully thoughtfully gratefully hopefully "
    "anxiously together alone again everywhere outside inside upstairs downstairs"
)
NAMES_SHE = _words(
    "Anna Bella Clara Daisy Ella Fiona Grace Hannah Ivy Julia Kate Lily Mia Nora Olive Penny Rosa Sophie Tilly "
    "Una Vera "
    "Wendy Yara Zoe Alice Betty Cora Dora Emma Flora Greta Holly Iris Jane Lucy Maya Nelly Poppy Ruby Sally Tess Willa"
)
NAMES_HE = _words(
    "Adam Ben Carl Dan Eli Finn George Hugo Ian Jack Karl Leo Max Ned Oscar Paul Quinn Rob Sam Tom Umar Victor Will "
    "Xander Yusuf Zack Albert Bruno Cedric Dexter Edgar Felix Gus Harry Isaac Jasper Kurt Louis Milo Nico Otto Peter"
)
# Verbs that take no object; written as base forms.
GO_VERBS = _words(
    "walk run jump skip hop march wander stroll hurry rush crawl climb swim float fly sail ride drive travel "
    "roll slide "
    "dance sing laugh smile giggle cry shout whisper whistle yawn sleep dream rest wait listen play work sneeze shiver "
    "wave bow nod jog gallop paddle race tiptoe stumble trip fall sit stand kneel lean stretch blink chatter hum "
    "mumble "
    "sigh snore grumble cheer clap twirl spin bounce glide drift sparkle glow grow bloom"
)
# Verbs whose object is a thing.
DO_VERBS = _words(
    "find lose make build fix break clean wash paint draw carry pull push lift drop throw catch kick hide keep bring "
    "take give buy sell borrow lend open close lock fill empty wrap tie fold cut sew polish mend touch hold shake "
    "squeeze watch see notice choose want need love like admire remember forget share steal return send hang measure "
    "decorate collect count protect discover examine study move turn ring"
)
EAT_VERBS = _words(
    "eat taste bake cook stir serve share slice smell peel chop boil roast fry nibble swallow chew gobble"
)
SAY_VERBS = _words("say ask answer reply call shout whisper explain add cry mumble declare suggest announce")
WEATHER = _words("sunny rainy windy snowy foggy cloudy stormy misty warm cold hot cool frosty bright grey mild")
NUMBERS = _words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
TENS = _words("twenty thirty forty fifty sixty seventy eighty ninety")
DAYS = _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = _words("January February March April May June July August September October November December")
SEASONS = _words("spring summer autumn winter")

IRREGULAR_PAST = dict(
    pair.split(":")
    for pair in [
        "run:ran",
        "swim:swam",
        "fly:flew",
        "ride:rode",
        "drive:drove",
        "sing:sang",
        "sleep:slept",
        "fall:fell",
        "sit:sat",
        "stand:stood",
        "kneel:knelt",
        "spin:spun",
        "grow:grew",
        "find:found",
        "lose:lost",
        "make:made",
        "build:built",
        "break:broke",
        "draw:drew",
        "throw:threw",
        "catch:caught",
        "hide:hid",
        "keep:kept",
        "bring:brought",
        "take:took",
        "give:gave",
        "buy:bought",
        "sell:sold",
        "lend:lent",
        "cut:cut",
        "hold:held",
        "shake:shook",
        "see:saw",
        "choose:chose",
        "forget:forgot",
        "steal:stole",
        "send:sent",
        "hang:hung",
        "eat:ate",
        "say:said",
        "ring:rang",
        "slide:slid",
        "tell:told",
        "go:went",
        "come:came",
        "think:thought",
        "feel:felt",
        "know:knew",
        "leave:left",
        "hear:heard",
        "meet:met",
    ]
)
# Past participles that differ from the past.
IRREGULAR_PARTICIPLE = dict(
    pair.split(":")
    for pair in [
        "swim:swum",
        "fly:flown",
        "ride:ridden",
        "drive:driven",
        "sing:sung",
        "fall:fallen",
        "grow:grown",
        "break:broken",
        "draw:drawn",
        "throw:thrown",
        "hide:hidden",
        "take:taken",
        "give:given",
        "shake:shaken",
        "see:seen",
        "choose:chosen",
        "forget:forgotten",
        "steal:stolen",
        "eat:eaten",
        "ring:rung",
        "run:run",
        "go:gone",
        "come:come",
        "know:known",
    ]
)
IRREGULAR_PLURAL = dict(
    pair.split(":")
    for pair in [
        "mouse:mice",
        "goose:geese",
        "sheep:sheep",
        "deer:deer",
        "wolf:wolves",
        "fisherman:fishermen",
        "postman:postmen",
        "thief:thieves",
        "knife:knives",
        "leaf:leaves",
        "bread:loaves",
        "dice:dice",
        "scarf:scarves",
        "shelf:shelves",
        "hero:heroes",
        "potato:potatoes",
        "tomato:tomatoes",
        "honey:honeys",
        "jam:jams",
        "soap:soaps",
        "paper:papers",
        "paint:paints",
        "cheese:cheeses",
    ]
)
OPPOSITES = dict(
    pair.split(":")
    for pair in [
        "hot:cold",
        "big:small",
        "tall:short",
        "old:young",
        "fast:slow",
        "happy:sad",
        "wet:dry",
        "light:dark",
        "full:empty",
        "open:closed",
        "hard:soft",
        "clean:dirty",
        "rich:poor",
        "strong:weak",
        "early:late",
        "near:far",
        "high:low",
        "loud:quiet",
        "thick:thin",
        "deep:shallow",
        "wide:narrow",
        "sweet:bitter",
        "rough:smooth",
        "heavy:light",
        "brave:timid",
        "day:night",
        "up:down",
        "left:right",
        "in:out",
        "yes:no",
    ]
)
SOUNDS = dict(
    pair.split(":")
    for pair in [
        "cow:moo",
        "dog:woof",
        "cat:meow",
        "duck:quack",
        "sheep:baa",
        "pig:oink",
        "hen:cluck",
        "owl:hoot",
        "frog:croak",
        "bee:buzz",
        "mouse:squeak",
        "lion:roar",
        "horse:neigh",
        "crow:caw",
        "wolf:howl",
        "goose:honk",
    ]
)
HOMES = dict(
    pair.split(":")
    for pair in [
        "bird:nest",
        "bee:hive",
        "rabbit:burrow",
        "bear:cave",
        "horse:stable",
        "dog:kennel",
        "king:castle",
        "fish:water",
        "spider:web",
        "sailor:ship",
        "farmer:farm",
        "pig:sty",
        "lion:den",
        "ant:anthill",
    ]
)
COLOUR_OF = dict(
    pair.split(":")
    for pair in [
        "grass:green",
        "snow:white",
        "sky:blue",
        "sun:yellow",
        "banana:yellow",
        "carrot:orange",
        "coal:black",
        "lemon:yellow",
        "strawberry:red",
        "milk:white",
        "chocolate:brown",
        "leaf:green",
        "night:black",
        "cloud:white",
        "frog:green",
        "cherry:red",
        "pumpkin:orange",
        "elephant:grey",
        "sea:blue",
        "tomato:red",
        "flamingo:pink",
        "plum:purple",
        "mouse:grey",
        "bear:brown",
    ]
)
JOBS = {
    "baker": "bakes bread",
    "farmer": "grows food",
    "teacher": "teaches children",
    "doctor": "helps sick people",
    "sailor": "sails a ship",
    "painter": "paints pictures",
    "singer": "sings songs",
    "gardener": "looks after a garden",
    "pilot": "flies a plane",
    "shepherd": "looks after sheep",
    "tailor": "makes clothes",
    "librarian": "looks after books",
    "cook": "makes meals",
    "carpenter": "makes things of wood",
    "fisherman": "catches fish",
}
LEGS = {
    "dog": 4, "cat": 4, "horse": 4, "cow": 4, "spider": 8, "bird": 2, "ant": 6, "bee": 6, "hen": 2, "duck": 2,
    "frog": 4,
    "lion": 4, "snake": 0, "fish": 0, "beetle": 6, "goat": 4, "owl": 2, "rabbit": 4,
}  # fmt: skip
EVERYDAY = {
    "a clock": "tells the time", "a key": "opens a lock", "a lamp": "gives light", "a pen": "writes",
    "a map": "shows the way",
    "an umbrella": "keeps off the rain", "a boat": "floats on water", "a kite": "flies in the wind",
    "a ladder": "helps people climb", "a knife": "cuts", "a bell": "rings", "a broom": "sweeps the floor",
    "a compass": "points north", "a telescope": "shows the stars", "a bed": "is for sleeping", "an oven": "bakes bread",
}  # fmt: skip
