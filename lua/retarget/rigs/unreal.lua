--- rigs/unreal.lua - Unreal Engine's mannequin, MakeHuman's game engine rig, and the many that follow them.
return {
  name = "unreal",
  bones = {
    hips = "pelvis", spine = "spine_01", chest = "spine_02", upperChest = "spine_03", neck = { "neck_01", "neck" },
    head = "head", jaw = "jaw", eye = "eye_{l|r}", shoulder = "clavicle_{l|r}", upperArm = "upperarm_{l|r}",
    lowerArm = "lowerarm_{l|r}", hand = "hand_{l|r}", upperLeg = "thigh_{l|r}", lowerLeg = "calf_{l|r}",
    foot = "foot_{l|r}", toes = "ball_{l|r}", thumb = "thumb_0#_{l|r}", index = "index_0#_{l|r}",
    middle = "middle_0#_{l|r}", ring = "ring_0#_{l|r}", little = "pinky_0#_{l|r}",
  },
}
