--- rigs/words.lua - What bones are called by makers whose rig no table knows. A name loses its namespace and is cut into words
--- where the case changes and at digits and punctuation; sides and `noise` are taken out, and the rest, joined, is looked up
--- here. A name with one of the `helpers` is no bone. Of several names for one bone the one that stands first wins.
return {
  words = true,
  bones = {
    hips = { "hips", "hip", "pelvis", "cog" },
    spine = { "spine", "abdomen", "abdomenlower", "belly", "waist" },
    chest = { "chest", "torso", "ribcage" },
    upperChest = { "upperchest", "chestupper" },
    neck = { "neck", "necklower" },
    head = { "head", "skull" },
    jaw = { "jaw" },
    eye = { "eye", "faceeye", "eyeball" },
    shoulder = { "clavicle", "clav", "collar", "collarbone" },
    upperArm = { "upperarm", "uparm", "armupper", "shldr", "shldrbend", "humerus", "bicep" },
    lowerArm = { "lowerarm", "lowarm", "armlower", "forearm", "forearmbend", "elbow" },
    hand = { "wrist", "hand", "palm", "fist" },
    upperLeg = { "upperleg", "upleg", "legupper", "thigh", "thighbend", "femur" },
    lowerLeg = { "lowerleg", "lowleg", "leglower", "shin", "shinbend", "calf", "tibia", "knee" },
    foot = { "ankle", "foot" },
    toes = { "toe", "toes", "toebase", "ball" },
  },
  -- What these are the other names decide: an arm is the upper one unless there is one, a leg the lower one if there is an
  -- upper one, a shoulder the upper arm where nothing else is, a hip with a side the upper leg.
  unclear = { arm = { "arm" }, leg = { "leg" }, shoulder = { "shoulder" } },
  fingers = {
    thumb = { "thumb" }, index = { "index" }, middle = { "middle" }, ring = { "ring" },
    little = { "pinky", "little", "pinkie" },
  },
  left = { "l", "left", "lft", "lf" },
  right = { "r", "right", "rgt", "rt" },
  noise = {
    "mixamorig", "mixamo", "rig", "bip", "biped", "valve", "def", "org", "cc", "base", "j", "c", "b", "bn", "jnt", "joint",
    "bone", "bones", "sk", "skeleton", "armature", "character", "jt", "adj", "human", "body", "genesis", "bind", "skin",
  },
  helpers = {
    "ik", "fk", "ctrl", "control", "pole", "target", "twist", "roll", "mch", "wgt", "helper", "slot", "handslot", "socket",
    "weapon", "prop", "tweak", "vis", "nub", "end", "aux", "attach", "offset", "parent", "handle", "mesh", "geo",
  },
}
