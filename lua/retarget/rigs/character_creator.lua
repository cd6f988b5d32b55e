--- rigs/character_creator.lua - Reallusion's Character Creator.
return {
  name = "character creator",
  prefixes = { "CC_Base_" },
  bones = {
    hips = "Hip", spine = "Waist", chest = "Spine01", upperChest = "Spine02", neck = { "NeckTwist01", "Neck" },
    head = "Head", jaw = "JawRoot", eye = "{L|R}_Eye", shoulder = "{L|R}_Clavicle", upperArm = "{L|R}_Upperarm",
    lowerArm = "{L|R}_Forearm", hand = "{L|R}_Hand", upperLeg = "{L|R}_Thigh", lowerLeg = "{L|R}_Calf",
    foot = "{L|R}_Foot", toes = "{L|R}_ToeBase", thumb = "{L|R}_Thumb#", index = "{L|R}_Index#", middle = "{L|R}_Mid#",
    ring = "{L|R}_Ring#", little = "{L|R}_Pinky#",
  },
}
