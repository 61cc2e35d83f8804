"""Trees of folders as people publish them: each has the reading that its author meant, or is refused."""

import random
import re
from pathlib import Path

import pytest

from thalweg.data.layouts import LayoutChoice, recognize
from thalweg.data.sources import is_picture
from thalweg.errors import DataError, UsageError


def expand(pattern):
    """Names of a pattern: `{cat,dog}/{1..3}.jpg` are six."""
    match = re.search(r"\{([^{}]*)\}", pattern)
    if match is None:
        return [pattern]
    span = re.fullmatch(r"(\d+)\.\.(\d+)", match[1])
    texts = map(str, range(int(span[1]), int(span[2]) + 1)) if span else match[1].split(",")
    return [name for text in texts for name in expand(pattern[: match.start()] + text + pattern[match.end() :])]


def read(tree, layout="auto"):
    names = [name for pattern in tree.split() for name in expand(pattern.replace("+", " "))]
    return recognize(names, Path("set"), LayoutChoice(layout))


def summary(found):
    """Layout, classes, photos of train, valid and test; ? if the test split has no classes; strays."""
    classes = sorted({entry.class_name for entry in found.entries if entry.split == "train"})
    counts = [sum(entry.split == split for entry in found.entries) for split in ("train", "valid", "test")]
    unknown = "?" if any(entry.class_name is None for entry in found.entries) else ""
    strays = sum(note.values["count"] for note in found.notes if note.key == "data.note_strays")
    return f"{found.layout} {','.join(classes)} {'/'.join(map(str, counts))}{unknown}" + f" -{strays}" * (strays > 0)


def trees(text):
    """A table of trees: a name, lines of patterns, and what they are read as."""
    found = {}
    for block in re.split(r"\n(?=\S)", text.strip()):
        name, *lines = block.split("\n")
        patterns, _, expected = " ".join(lines).partition(" = ")
        found[name] = (patterns, expected)
    return found


READ = trees("""
homework
  food-11/{training,validation}/{0,1,10}_{1..4}.jpg food-11/testing/000{1..4}.jpg = flat 0,1,10 12/12/4?
homework, a lone picture in docs
  docs/a.png food-11/{training,validation}/{0,1,10}_{1..4}.jpg food-11/testing/000{1..4}.jpg = flat 0,1,10 12/12/4? -1
homework, a stray copy
  {training,validation}/{0,1,2}_{1..10}.jpg training/backup/2_3.jpg testing/000{1..4}.jpg = flat 0,1,2 30/30/4? -1
homework of 2021
  food-11/training/labeled/{00,01,02}/{1..5}.jpg food-11/training/unlabeled/00/{1..20}.jpg
  food-11/validation/{00,01,02}/{1..3}.jpg food-11/testing/00/{1..4}.jpg = class_folders 00,01,02 15/9/4? -20
homework of 2023
  {train,valid}/{0,1}_{1..4}.jpg test/000{1..4}.jpg sample_submission.csv = flat 0,1 8/8/4?
Food-11 as published
  {training,validation,evaluation}/{0,1}_{1..4}.jpg = flat 0,1 8/8/8
Food-11 in folders
  {training,validation,evaluation}/{Bread,Egg}/{1..4}.jpg = class_folders Bread,Egg 8/8/8
flat, no splits
  {0,1}_{1..5}.png = flat 0,1 10/0/0
Intel scenes
  archive/seg_train/seg_train/{buildings,forest,sea}/{1..4}.jpg
  archive/seg_test/seg_test/{buildings,forest,sea}/{1..2}.jpg archive/seg_pred/seg_pred/{1..5}.jpg
  = class_folders buildings,forest,sea 12/0/6 -5
chest X-rays with a copy
  chest_xray/{train,val,test}/{NORMAL,PNEUMONIA}/{1..3}.jpeg
  chest_xray/chest_xray/{train,val,test}/{NORMAL,PNEUMONIA}/{1..3}.jpeg = class_folders NORMAL,PNEUMONIA 6/6/6 -18
dogs vs cats
  train/{cat,dog}.{0..9}.jpg test1/{1..5}.jpg sampleSubmission.csv = names cat,dog 20/0/5?
dogs vs cats, doubled
  dogs-vs-cats/train/train/{cat,dog}.{0..9}.jpg dogs-vs-cats/test1/test1/{1..5}.jpg = names cat,dog 20/0/5?
PetImages
  PetImages/{Cat,Dog}/{0..4}.jpg readme[1].txt = class_folders Cat,Dog 10/0/0
cats and dogs filtered
  cats_and_dogs_filtered/{train,validation}/{cats,dogs}/{cat,dog}.{0..3}.jpg cats_and_dogs_filtered/vectorize.py
  = class_folders cats,dogs 16/16/0
Oxford pets
  images/{Abyssinian,great_pyrenees,pug}_{1..6}.jpg annotations/trimaps/{Abyssinian,great_pyrenees,pug}_{1..6}.png
  = names Abyssinian,great_pyrenees,pug 18/0/0 -18
CUB
  CUB_200_2011/images/{001.Albatross,002.Auklet}/a_{1..4}.jpg
  CUB_200_2011/segmentations/{001.Albatross,002.Auklet}/a_{1..4}.png CUB_200_2011/README
  = class_folders 001.Albatross,002.Auklet 8/0/0 -8
Stanford dogs
  Images/{n02085620-Chihuahua,n02085782-Spaniel}/n0_{1..4}.jpg Annotation/n02085620-Chihuahua/n0_1
  = class_folders n02085620-Chihuahua,n02085782-Spaniel 8/0/0
Caltech 256
  256_ObjectCategories/{001.ak47,002.flag,257.clutter}/{001,002}_000{1..4}.jpg
  = class_folders 001.ak47,002.flag,257.clutter 24/0/0
Caltech 101
  101_ObjectCategories/{accordion,airplanes}/image_000{1..4}.jpg = class_folders accordion,airplanes 8/0/0
Food-101
  food-101/images/{apple_pie,baby_back_ribs}/{1..4}.jpg food-101/meta/train.txt food-101/README
  = class_folders apple_pie,baby_back_ribs 8/0/0
EuroSAT
  2750/{AnnualCrop,Forest}/{AnnualCrop,Forest}_{1..4}.jpg = class_folders AnnualCrop,Forest 16/0/0
Imagewoof
  imagewoof2-160/{train,val}/{n02086240,n02087394}/ILSVRC_{1..3}.JPEG imagewoof2-160/noisy_imagewoof.csv
  = class_folders n02086240,n02087394 6/6/0
MNIST as PNG
  mnist_png/{training,testing}/{0,1,9}/{1..3}.png = class_folders 0,1,9 9/0/9
GTSRB
  Train/{0,1,42}/00000_0000{1..4}.png Test/0000{1..5}.png Meta/{0,1}.png Train.csv Test.csv
  = class_folders 0,1,42 12/0/5? -2
Fruits 360
  fruits-360/{Training,Test}/{Apple+Braeburn,Kiwi}/{1..3}_100.jpg fruits-360/test-multiple_sizes/{1..2}.jpg
  fruits-360/papers/x.jpg = class_folders Apple Braeburn,Kiwi 6/0/6 -3
ASL alphabet
  asl_alphabet_train/asl_alphabet_train/{A,B,space}/A{1..3}.jpg
  asl_alphabet_test/asl_alphabet_test/{A,B,space}_test.jpg = class_folders A,B,space 9/0/3?
Simpsons
  simpsons_dataset/{bart,homer}/pic_{1..3}.jpg simpsons_dataset/simpsons_dataset/{bart,homer}/pic_{1..3}.jpg
  kaggle_simpson_testset/kaggle_simpson_testset/{bart,homer}_{1..2}.jpg = class_folders bart,homer 6/0/4? -6
ten monkeys
  {training/training,validation/validation}/{n0,n1}/n{1..3}.jpg monkey_labels.txt = class_folders n0,n1 6/6/0
blood cells
  dataset2-master/dataset2-master/images/{TRAIN,TEST,TEST_SIMPLE}/{EOSINOPHIL,LYMPHOCYTE}/_{1..9}.jpeg
  dataset-master/dataset-master/JPEGImages/BloodImage_{1..4}.jpg = class_folders EOSINOPHIL,LYMPHOCYTE 18/0/18 -22
Roboflow
  {train,valid,test}/{rock,paper}/a_{1..3}.jpg README.dataset.txt README.roboflow.txt = class_folders paper,rock 6/6/6
rock, paper, scissors
  rps/rps/{rock,paper}/r{1..4}.png rps-test-set/rps-test-set/{rock,paper}/t{1..2}.png = class_folders paper,rock 8/0/4
horse or human
  horse-or-human/{horses,humans}/{1..4}.png validation-horse-or-human/{horses,humans}/{1..2}.png
  = class_folders horses,humans 8/4/0
casting
  casting_data/casting_data/{train,test}/{def_front,ok_front}/c_{1..9}.jpeg
  casting_512x512/casting_512x512/{def_front,ok_front}/c_{1..2}.jpeg = class_folders def_front,ok_front 18/0/18 -4
malaria with a copy
  cell_images/{Parasitized,Uninfected}/c{1..4}.png cell_images/cell_images/{Parasitized,Uninfected}/c{1..4}.png
  = class_folders Parasitized,Uninfected 8/0/0 -8
flowers with a copy
  flowers/{daisy,rose,tulip}/{1..4}.jpg flowers/flowers/{daisy,rose,tulip}/{1..4}.jpg
  = class_folders daisy,rose,tulip 12/0/0 -12
face masks
  data/{with_mask,without_mask}/{1..4}.jpg = class_folders with_mask,without_mask 8/0/0
mask or no mask
  {mask,no_mask}/{1..4}.jpg = class_folders mask,no_mask 8/0/0
FER
  images/images/{train,validation}/{angry,happy}/{1..4}.jpg = class_folders angry,happy 8/8/0
brain tumors
  {Training,Testing}/{glioma_tumor,no_tumor}/image({1..4}).jpg = class_folders glioma_tumor,no_tumor 8/0/8
animals in ten Italian words
  raw-img/{cane,gatto}/OIP-{1..4}.jpeg translate.py = class_folders cane,gatto 8/0/0
animals, doubled
  animals/animals/{antelope,bat}/{1..4}.jpg name+of+the+animals.txt = class_folders antelope,bat 8/0/0
vegetables
  Vegetable+Images/{train,test,validation}/{Bean,Carrot}/{1..4}.jpg = class_folders Bean,Carrot 8/8/8
sets of images
  {training_set,test_set}/{cats,dogs}/{1..4}.jpg = class_folders cats,dogs 8/0/8
sets of images, doubled
  training_set/training_set/{cats,dogs}/{1..4}.jpg test_set/test_set/{cats,dogs}/{1..4}.jpg
  = class_folders cats,dogs 8/0/8
words run together
  {TrainData,ValData,TestData}/{cat,dog}/{1..2}.jpg = class_folders cat,dog 4/4/4
words run together in lower case
  {trainset,testset}/{cat,dog}/{1..2}.jpg = class_folders cat,dog 4/0/4
words of images
  {images_train,images_val,images_test}/{cat,dog}/{1..2}.jpg = class_folders cat,dog 4/4/4
numbered years
  {train2017,val2017}/{cat,dog}/{1..2}.jpg = class_folders cat,dog 4/4/0
Chinese words
  数据集/{训练集,验证集,测试集}/{猫,狗}/{1..2}.jpg = class_folders 狗,猫 4/4/4
Chinese words, unlabeled test
  训练集/{猫,狗}/{1..4}.jpg 测试集/{1..4}.jpg = class_folders 狗,猫 8/0/4?
batches of years
  {batch_2021,batch_2022}/{cat,dog}/{1..3}.jpg = class_folders cat,dog 12/0/0
batches, one class each
  batch1/cat/{1..3}.jpg batch2/dog/{1..3}.jpg = class_folders cat,dog 6/0/0
parts of classes
  data_part_{1,2}/{cat,dog}/{1..3}.jpg = class_folders cat,dog 12/0/0
years below classes
  {cat,dog}/{2020,2021}/{1..3}.jpg = class_folders cat,dog 12/0/0
videos below classes
  cat/{vid_1,vid_2}/{1..3}.jpg dog/{vid_3,vid_4}/{1..3}.jpg = class_folders cat,dog 12/0/0
images below classes
  {train,val}/{n01,n02}/images/{1..3}.JPEG = class_folders n01,n02 6/6/0
one fold
  fold0/{train,val}/{cat,dog}/{1..3}.jpg = class_folders cat,dog 6/6/0
folds without splits
  fold{0..2}/{cat,dog}/{1..3}.jpg = class_folders cat,dog 18/0/0
splits below classes
  {cat,dog}/{train,test}/{1..3}.jpg = class_folders cat,dog 6/0/6
class in the affix
  {train,test}_{cat,dog}/{1..3}.jpg = class_folders cat,dog 6/0/6
class folders and a test folder
  cat/c{1..4}.jpg dog/d{1..4}.jpg test/{1..4}.jpg = class_folders cat,dog 8/0/4?
class folders and a labeled test folder
  cat/c{1..4}.jpg dog/d{1..4}.jpg test/{cat,dog}/{1..4}.jpg = class_folders cat,dog 8/0/8
class folders, all named by numbers, and a test folder
  {cat,dog,test}/{1..4}.jpg = class_folders cat,dog 8/0/4?
trains
  {bus,car,train}/{a,b,c}.jpg = class_folders bus,car,train 9/0/0
train stations
  {train_station,bus_stop,test_tube,latest}/{a,b,c}.jpg = class_folders bus_stop,latest,test_tube,train_station 12/0/0
unlabeled test in one folder
  train/{cat,dog}/{1..3}.jpg test/test/{1..3}.jpg = class_folders cat,dog 6/0/3?
unlabeled test in batches
  train/{cat,dog}/{1..3}.jpg test/{b1,b2}/{1..3}.jpg = class_folders cat,dog 6/0/6?
one stray in a labeled test
  {train,test}/{cat,dog}/{1..9}.jpg test/x.jpg = class_folders cat,dog 18/0/18 -1
Places by letters
  data_256/a/{airfield,alley}/{1..3}.jpg data_256/b/{bakery,bar}/{1..3}.jpg
  = class_folders airfield,alley,bakery,bar 12/0/0
a cover beside class folders
  cover.jpg {cat,dog}/{1..9}.jpg = class_folders cat,dog 18/0/0 -1
a cover beside the folder of it all
  cover.jpg pets/{cat,dog}/{1..9}.jpg = class_folders cat,dog 18/0/0 -1
a docs folder beside class folders
  docs/a.png {cat,dog}/{1..9}.jpg = class_folders cat,dog 18/0/0 -1
ImageNet's root
  ILSVRC/Data/CLS-LOC/{train,val}/{n01,n02}/{1..3}.JPEG ILSVRC/Data/CLS-LOC/test/{1..3}.JPEG
  = class_folders n01,n02 6/6/3?
names without splits
  {cat,dog}{1..9}.jpg = names cat,dog 18/0/0
names as Windows numbers them
  {cat,dog}+({1..9}).jpg = names cat,dog 18/0/0
Traditional Chinese words
  {訓練集,驗證集,測試集}/{貓,狗}/{1..2}.jpg = class_folders 狗,貓 4/4/4
Spanish words
  {entrenamiento,validación,prueba}/{gato,perro}/{1..2}.jpg = class_folders gato,perro 4/4/4
two domains
  {train,test}{A,B}/{1..3}.jpg = class_folders a,b 6/0/6
folders spelled twice
  {Train,train}/{0,1}/{1..3}.png {Test,test}/{4..6}.png = class_folders 0,1 6/0/3? -9
classes spelled otherwise
  train/{Cat,Dog}/{1..3}.jpg test/{cat,dog}/{1..3}.jpg = class_folders Cat,Dog 6/0/6
numbers spelled otherwise
  train/{00,01}/{1..3}.jpg val/{0,1}/{1..3}.jpg = class_folders 00,01 6/6/0
a wrapper that sounds like a split
  test_images/{cat,dog}/{1..3}.jpg = class_folders cat,dog 6/0/0
a class of odds and ends
  {cat,dog}/{1..60}.jpg misc/{1..12}.jpg = class_folders cat,dog,misc 132/0/0
a flat folder beside another
  food/{0,1}_{1..5}.jpg extra/{1..2}.jpg = flat 0,1 10/0/0 -2
a training split in parts
  train_part{1,2}/{cat,dog}/{1..3}.jpg test/{1..3}.jpg = class_folders cat,dog 12/0/3?
two train folders
  train_{1,2}/{cat,dog}/{1..3}.jpg test/{cat,dog}/{1..3}.jpg = class_folders cat,dog 12/0/6
""")

REFUSED = trees("""
renderings of the same leaves
  plantvillage+dataset/{color,grayscale,segmented}/{Apple,Corn}/{1..3}.JPG = data.two_readings
kinds of kinds
  animals/{cat,dog}/{1..3}.jpg vehicles/{car,truck}/{1..3}.jpg = data.two_readings
patients and findings
  {8863,9036,9178}/{0,1}/{1..3}.png = data.two_readings
whole folds
  fold{0..2}/{train,val}/{cat,dog}/{1..3}.jpg = data.several_sets
two sets
  {winter,summer}/{train,test}/{cat,dog}/{1..3}.jpg = data.several_sets
Tiny ImageNet
  tiny-imagenet-200/train/{n01,n02}/images/n_{1..5}.JPEG tiny-imagenet-200/val/images/val_{1..4}.JPEG
  tiny-imagenet-200/val/val_annotations.txt tiny-imagenet-200/test/images/test_{1..4}.JPEG = data.unsorted_split
ImageNet with an unsorted val
  {train}/{n01,n02}/{1..3}.JPEG val/ILSVRC_{1..3}.JPEG = data.unsorted_split
Cassava
  train_images/{100..120}.jpg test_images/{7..8}.jpg train.csv label_num_to_disease_map.json = data.label_in_a_table
skin lesions in parts
  HAM10000_images_part_{1,2}/ISIC_{1..6}.jpg HAM10000_metadata.csv = data.label_in_a_table
CIFAR of Kaggle
  train/{1..9}.png test/{1..9}.png trainLabels.csv = data.label_in_a_table
flowers in one folder
  jpg/image_000{1..9}.jpg imagelabels.mat = data.label_not_a_number
detection
  images/{train,val}/{1..9}.jpg labels/{train,val}/{1..9}.txt = data.label_not_a_number
ages of faces
  UTKFace/{1,26,99}_{0,1}_0_2017{1..3}.jpg.chip.jpg = data.many_numbers
numbers and folders
  train/{0,1}_{1..5}.jpg train/{cat,dog}/{1..5}.jpg = data.folders_or_names
only a test split
  test/{cat,dog}/{1..3}.jpg = data.no_training_split
a validation folder without classes
  cat/c{1..3}.jpg dog/d{1..3}.jpg val/x{1..3}.jpg = data.unsorted_split
classes of another language
  train/{cat,dog}/{1..3}.jpg val/images/{1..3}.jpg = data.unsorted_split
""")


@pytest.mark.parametrize("name", READ)
def test_a_tree_is_read_as_its_author_meant(name):
    tree, expected = READ[name]
    assert summary(read(tree)) == expected


@pytest.mark.parametrize("name", REFUSED)
def test_a_tree_that_may_mean_two_things_is_refused(name):
    tree, key = REFUSED[name]
    with pytest.raises(DataError) as caught:
        read(tree)
    assert caught.value.key == key


@pytest.mark.parametrize("name", ["renderings of the same leaves", "kinds of kinds", "patients and findings"])
def test_a_refusal_names_the_flags_that_choose_and_they_do(name):
    tree, _ = REFUSED[name]
    with pytest.raises(DataError) as caught:
        read(tree)
    flags = re.findall(r"--photo-layout (\S+)", str(caught.value))
    first, second = (summary(read(tree, flag)) for flag in flags)
    assert first != second


@pytest.mark.parametrize(
    ("tree", "layout", "expected"),
    [
        ("{cat,dog,test}/{1..3}.jpg", "class-folders:1", "class_folders cat,dog,test 9/0/0"),
        ("{train,test}/{a,b}/{cat,dog}/{1..3}.jpg", "class-folders:3", "class_folders cat,dog 12/0/12"),
        ("train/a/{cat,dog}/{1..3}.jpg test/{1..3}.jpg x.jpg", "class-folders:3", "class_folders cat,dog 6/0/3? -1"),
        ("UTKFace/{1,26}_0_0_{1..3}.jpg", "flat", "flat 1,26 6/0/0"),
        (
            "train/{0,1}_{1..5}.jpg train/{cat,dog}/{0,1}_{1..5}.jpg",
            "class-folders",
            "class_folders cat,dog 20/0/0 -10",
        ),
        ("{cat,dog}_{1..2}.jpg", "names", "names cat,dog 4/0/0"),
    ],
)
def test_the_user_decides(tree, layout, expected):
    assert summary(read(tree, layout)) == expected


@pytest.mark.parametrize("layout", ["folders", "class-folders:0", "class-folders:x", "flat:2", "class-folders:"])
def test_layouts_that_do_not_exist(layout):
    with pytest.raises(UsageError, match="class-folders:N"):
        LayoutChoice(layout)


FOLDERS = ["train", "test", "val", "seg_train", "images", "cat", "dog", "0", "1", "01", "batch_1", "batch_2", "docs",
           "unlabeled", "masks", "Train", "训练集", "part_1"]  # fmt: skip
FILES = ["1.jpg", "0_1.jpg", "1_2.jpg", "cat.1.jpg", "dog.2.jpg", "a.png", "IMG_1.jpg", "3_4_5.jpg", "x.txt", "noend"]


@pytest.mark.parametrize(
    "seeds", [range(300), pytest.param(range(300, 20_000), marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_of_any_tree_each_picture_is_taken_once_or_counted(seeds):
    refusals = []
    for seed in seeds:
        chance = random.Random(seed)
        paths = [[*chance.choices(FOLDERS, k=chance.randint(0, 4)), chance.choice(FILES)] for _ in range(20)]
        names = sorted({"/".join(path) for path in paths[: chance.randint(1, 20)]})
        layout = chance.choice(["auto", "auto", "flat", "names", "class-folders", "class-folders:2"])
        try:
            found = recognize(names, Path("set"), LayoutChoice(layout))
        except DataError as error:
            refusals.append(str(error))
            continue
        taken = [entry.path for entry in found.entries]
        strays = sum(note.values["count"] for note in found.notes if note.key == "data.note_strays")
        assert len(taken) == len(set(taken))
        assert len(taken) + strays == sum(map(is_picture, names)), names
        assert all(entry.class_name for entry in found.entries if entry.split != "test"), names
    assert 0 < len(refusals) < len(seeds)
