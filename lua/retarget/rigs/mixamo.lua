--- rigs/mixamo.lua - Mixamo, and what uses its names: Ready Player Me, HumanIK ("Character1_"), MakeHuman's Mixamo rig. Its prefix may be
--- missing, or carry a number where a scene held several ("mixamorig1:").
return {
  name = "mixamo",
  prefixes = { "mixamorig", "Character" },
  bones = {
    hips = "Hips", spine = "Spine", chest = "Spine1", upperChest = "Spine2", neck = "Neck", head = "Head", jaw = "Jaw",
    eye = "{Left|Right}Eye", shoulder = "{Left|Right}Shoulder", upperArm = "{Left|Right}Arm",
    lowerArm = "{Left|Right}ForeArm", hand = "{Left|Right}Hand",
    upperLeg = "{Left|Right}UpLeg", lowerLeg = "{Left|Right}Leg", foot = "{Left|Right}Foot",
    toes = { "{Left|Right}ToeBase", "{Left|Right}Toes" },
    thumb = "{Left|Right}HandThumb#", index = "{Left|Right}HandIndex#", middle = "{Left|Right}HandMiddle#",
    ring = "{Left|Right}HandRing#", little = "{Left|Right}HandPinky#",
  },
}
