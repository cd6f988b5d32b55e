--- rigs/vroid.lua - VRoid Studio: "J_Bip_C_Hips", "J_Bip_L_UpperArm", "J_Adj_L_FaceEye".
return {
  name = "vroid",
  bones = {
    hips = "J_Bip_C_Hips", spine = "J_Bip_C_Spine", chest = "J_Bip_C_Chest", upperChest = "J_Bip_C_UpperChest",
    neck = "J_Bip_C_Neck", head = "J_Bip_C_Head", eye = "J_Adj_{L|R}_FaceEye", shoulder = "J_Bip_{L|R}_Shoulder",
    upperArm = "J_Bip_{L|R}_UpperArm", lowerArm = "J_Bip_{L|R}_LowerArm", hand = "J_Bip_{L|R}_Hand",
    upperLeg = "J_Bip_{L|R}_UpperLeg", lowerLeg = "J_Bip_{L|R}_LowerLeg", foot = "J_Bip_{L|R}_Foot",
    toes = "J_Bip_{L|R}_ToeBase", thumb = "J_Bip_{L|R}_Thumb#", index = "J_Bip_{L|R}_Index#",
    middle = "J_Bip_{L|R}_Middle#", ring = "J_Bip_{L|R}_Ring#", little = "J_Bip_{L|R}_Little#",
  },
}
