--- rigs/vrm.lua - VRM's and Unity's own names of the humanoid, where a file has no list of its bones.
return {
  name = "humanoid names",
  bones = {
    hips = "hips", spine = "spine", chest = "chest", upperChest = "upperChest", neck = "neck", head = "head", jaw = "jaw",
    eye = "{left|right}Eye", shoulder = "{left|right}Shoulder", upperArm = "{left|right}UpperArm",
    lowerArm = "{left|right}LowerArm", hand = "{left|right}Hand", upperLeg = "{left|right}UpperLeg",
    lowerLeg = "{left|right}LowerLeg", foot = "{left|right}Foot", toes = "{left|right}Toes",
    thumbMetacarpal = "{left|right}ThumbMetacarpal", thumbProximal = "{left|right}ThumbProximal",
    thumbDistal = "{left|right}ThumbDistal",
    indexProximal = "{left|right}IndexProximal", indexIntermediate = "{left|right}IndexIntermediate",
    indexDistal = "{left|right}IndexDistal",
    middleProximal = "{left|right}MiddleProximal", middleIntermediate = "{left|right}MiddleIntermediate",
    middleDistal = "{left|right}MiddleDistal",
    ringProximal = "{left|right}RingProximal", ringIntermediate = "{left|right}RingIntermediate",
    ringDistal = "{left|right}RingDistal",
    littleProximal = "{left|right}LittleProximal", littleIntermediate = "{left|right}LittleIntermediate",
    littleDistal = "{left|right}LittleDistal",
  },
}
