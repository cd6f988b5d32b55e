--- rigs/cmu.lua - The CMU motions' skeleton, as BVH has it and as MakeHuman's rig of that name does.
return {
  name = "cmu",
  bones = {
    hips = "Hips", spine = "LowerBack", chest = "Spine", upperChest = "Spine1", neck = { "Neck", "Neck1" }, head = "Head",
    shoulder = "{Left|Right}Shoulder", upperArm = "{Left|Right}Arm", lowerArm = "{Left|Right}ForeArm",
    hand = "{Left|Right}Hand", upperLeg = "{Left|Right}UpLeg", lowerLeg = "{Left|Right}Leg", foot = "{Left|Right}Foot",
    toes = "{Left|Right}ToeBase", indexProximal = "{Left|Right}HandIndex1", thumbProximal = "{L|R}Thumb",
  },
}
