--- rigs/kenney.lua - Kenney's characters: Mixamo's limbs on Unity's trunk, beside controls that carry skin too.
return {
  name = "kenney",
  bones = {
    hips = "Hips", spine = "Spine", chest = "Chest", upperChest = "UpperChest", neck = "Neck", head = "Head",
    shoulder = "{Left|Right}Shoulder", upperArm = "{Left|Right}Arm", lowerArm = "{Left|Right}ForeArm",
    hand = "{Left|Right}Hand", upperLeg = "{Left|Right}UpLeg", lowerLeg = "{Left|Right}Leg", foot = "{Left|Right}Foot",
    toes = "{Left|Right}Toes", index = "{Left|Right}HandIndex#",
    thumbProximal = "{Left|Right}HandThumb1", thumbDistal = "{Left|Right}HandThumb2",
  },
}
