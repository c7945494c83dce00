"""What the classes of the photograph data sets are called, in the order of their numbers."""

from __future__ import annotations

_FLOWERS102 = """
    pink primrose, hard-leaved pocket orchid, canterbury bells, sweet pea, english marigold, tiger lily, moon orchid,
    bird of paradise, monkshood, globe thistle, snapdragon, colt's foot, king protea, spear thistle, yellow iris,
    globe-flower, purple coneflower, peruvian lily, balloon flower, giant white arum lily, fire lily, pincushion flower,
    fritillary, red ginger, grape hyacinth, corn poppy, prince of wales feathers, stemless gentian, artichoke,
    sweet william, carnation, garden phlox, love in the mist, mexican aster, alpine sea holly, ruby-lipped cattleya,
    cape flower, great masterwort, siam tulip, lenten rose, barbeton daisy, daffodil, sword lily, poinsettia,
    bolero deep blue, wallflower, marigold, buttercup, oxeye daisy, common dandelion, petunia, wild pansy, primula,
    sunflower, pelargonium, bishop of llandaff, gaura, geranium, orange dahlia, pink-yellow dahlia?, cautleya spicata,
    japanese anemone, black-eyed susan, silverbush, californian poppy, osteospermum, spring crocus, bearded iris,
    windflower, tree poppy, gazania, azalea, water lily, rose, thorn apple, morning glory, passion flower, lotus,
    toad lily, anthurium, frangipani, clematis, hibiscus, columbine, desert-rose, tree mallow, magnolia, cyclamen,
    watercress, canna lily, hippeastrum, bee balm, ball moss, foxglove, bougainvillea, camellia, mallow,
    mexican petunia, bromelia, blanket flower, trumpet creeper, blackberry lily
"""
_OXFORD_PETS = """
    Abyssinian, American Bulldog, American Pit Bull Terrier, Basset Hound, Beagle, Bengal, Birman, Bombay, Boxer,
    British Shorthair, Chihuahua, Egyptian Mau, English Cocker Spaniel, English Setter, German Shorthaired,
    Great Pyrenees, Havanese, Japanese Chin, Keeshond, Leonberger, Maine Coon, Miniature Pinscher, Newfoundland,
    Persian, Pomeranian, Pug, Ragdoll, Russian Blue, Saint Bernard, Samoyed, Scottish Terrier, Shiba Inu, Siamese,
    Sphynx, Staffordshire Bull Terrier, Wheaten Terrier, Yorkshire Terrier
"""
_EUROSAT = """
    AnnualCrop, Forest, HerbaceousVegetation, Highway, Industrial, Pasture, PermanentCrop, Residential, River, SeaLake
"""
# the benchmark has numbers alone; these are the words that its users have settled on, without their brackets
_GTSRB = """
    Speed limit 20 km/h, Speed limit 30 km/h, Speed limit 50 km/h, Speed limit 60 km/h, Speed limit 70 km/h,
    Speed limit 80 km/h, End of speed limit 80 km/h, Speed limit 100 km/h, Speed limit 120 km/h, No passing,
    No passing for vehicles over 3.5 metric tons, Right-of-way at the next intersection, Priority road, Yield, Stop,
    No vehicles, Vehicles over 3.5 metric tons prohibited, No entry, General caution, Dangerous curve to the left,
    Dangerous curve to the right, Double curve, Bumpy road, Slippery road, Road narrows on the right, Road work,
    Traffic signals, Pedestrians, Children crossing, Bicycles crossing, Beware of ice/snow, Wild animals crossing,
    End of all speed and passing limits, Turn right ahead, Turn left ahead, Ahead only, Go straight or right,
    Go straight or left, Keep right, Keep left, Roundabout mandatory, End of no passing,
    End of no passing by vehicles over 3.5 metric tons
"""
_DTD = """
    banded, blotchy, braided, bubbly, bumpy, chequered, cobwebbed, cracked, crosshatched, crystalline, dotted, fibrous,
    flecked, freckled, frilly, gauzy, grid, grooved, honeycombed, interlaced, knitted, lacelike, lined, marbled, matted,
    meshed, paisley, perforated, pitted, pleated, polka-dotted, porous, potholed, scaly, smeared, spiralled, sprinkled,
    stained, stratified, striped, studded, swirly, veined, waffled, woven, wrinkled, zigzagged
"""
_FOOD101 = """
    apple_pie, baby_back_ribs, baklava, beef_carpaccio, beef_tartare, beet_salad, beignets, bibimbap, bread_pudding,
    breakfast_burrito, bruschetta, caesar_salad, cannoli, caprese_salad, carrot_cake, ceviche, cheese_plate, cheesecake,
    chicken_curry, chicken_quesadilla, chicken_wings, chocolate_cake, chocolate_mousse, churros, clam_chowder,
    club_sandwich, crab_cakes, creme_brulee, croque_madame, cup_cakes, deviled_eggs, donuts, dumplings, edamame,
    eggs_benedict, escargots, falafel, filet_mignon, fish_and_chips, foie_gras, french_fries, french_onion_soup,
    french_toast, fried_calamari, fried_rice, frozen_yogurt, garlic_bread, gnocchi, greek_salad,
    grilled_cheese_sandwich, grilled_salmon, guacamole, gyoza, hamburger, hot_and_sour_soup, hot_dog, huevos_rancheros,
    hummus, ice_cream, lasagna, lobster_bisque, lobster_roll_sandwich, macaroni_and_cheese, macarons, miso_soup,
    mussels, nachos, omelette, onion_rings, oysters, pad_thai, paella, pancakes, panna_cotta, peking_duck, pho, pizza,
    pork_chop, poutine, prime_rib, pulled_pork_sandwich, ramen, ravioli, red_velvet_cake, risotto, samosa, sashimi,
    scallops, seaweed_salad, shrimp_and_grits, spaghetti_bolognese, spaghetti_carbonara, spring_rolls, steak,
    strawberry_shortcake, sushi, tacos, takoyaki, tiramisu, tuna_tartare, waffles
"""


def _listed(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


FLOWERS102, OXFORD_PETS, EUROSAT, GTSRB, DTD, FOOD101 = map(
    _listed, (_FLOWERS102, _OXFORD_PETS, _EUROSAT, _GTSRB, _DTD, _FOOD101)
)
