--- rigs/biped.lua - 3ds Max's Biped ("Bip01 L Thigh", "Bip001 ...") and Valve's ("ValveBiped.Bip01_L_Thigh").
return {
  name = "biped",
  prefixes = { "Bip", "ValveBiped.Bip" },
  bones = {
    hips = "Pelvis", spine = "Spine", chest = "Spine1", upperChest = { "Spine2", "Spine3" }, neck = { "Neck", "Neck1" },
    head = { "Head", "Head1" }, shoulder = "{L|R} Clavicle", upperArm = "{L|R} UpperArm", lowerArm = "{L|R} Forearm",
    hand = "{L|R} Hand", upperLeg = "{L|R} Thigh", lowerLeg = "{L|R} Calf", foot = "{L|R} Foot", toes = "{L|R} Toe0",
    thumbMetacarpal = "{L|R} Finger0", thumbProximal = "{L|R} Finger01", thumbDistal = "{L|R} Finger02",
    indexProximal = "{L|R} Finger1", indexIntermediate = "{L|R} Finger11", indexDistal = "{L|R} Finger12",
    middleProximal = "{L|R} Finger2", middleIntermediate = "{L|R} Finger21", middleDistal = "{L|R} Finger22",
    ringProximal = "{L|R} Finger3", ringIntermediate = "{L|R} Finger31", ringDistal = "{L|R} Finger32",
    littleProximal = "{L|R} Finger4", littleIntermediate = "{L|R} Finger41", littleDistal = "{L|R} Finger42",
  },
}
