--- rigs/smpl.lua - SMPL and SMPL-X: joints called by the joint, not by the bone that begins there; its "foot" is the ball of the foot.
return {
  name = "smpl",
  prefixes = { "m_avg_", "f_avg_" },
  bones = {
    hips = "pelvis", spine = "spine1", chest = "spine2", upperChest = "spine3", neck = "neck", head = "head", jaw = "jaw",
    eye = "{left|right}_eye_smplhf", shoulder = { "{left|right}_collar", "{L|R}_Collar" },
    upperArm = { "{left|right}_shoulder", "{L|R}_Shoulder" }, lowerArm = { "{left|right}_elbow", "{L|R}_Elbow" },
    hand = { "{left|right}_wrist", "{L|R}_Wrist" }, upperLeg = { "{left|right}_hip", "{L|R}_Hip" },
    lowerLeg = { "{left|right}_knee", "{L|R}_Knee" }, foot = { "{left|right}_ankle", "{L|R}_Ankle" },
    toes = { "{left|right}_foot", "{L|R}_Foot" }, thumb = { "{left|right}_thumb#", "{L|R}_Thumb#" },
    index = { "{left|right}_index#", "{L|R}_Index#" }, middle = { "{left|right}_middle#", "{L|R}_Middle#" },
    ring = { "{left|right}_ring#", "{L|R}_Ring#" }, little = { "{left|right}_pinky#", "{L|R}_Pinky#" },
  },
}
