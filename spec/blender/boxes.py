"""Prints the box of a character's skinned meshes as Blender poses them, for spec/c/scene_blender_test.c.

blender -b --factory-startup -P boxes.py -- FILE HIDDEN,HIDDEN < lines of "CLIP<tab>SECONDS"
Answers a line "BOX <tab> CLIP <tab> SECONDS <tab> min x y z max x y z" each: metres, y up, facing +z; "NONE <tab> CLIP" where
there is no such action. FBX's frame 1 and glTF's frame 0 are second 0.
"""

import sys

import numpy

numpy.bool = bool  # Debian's glTF importer wants the name that numpy dropped

import bpy  # noqa: E402


def action_of(clip):
    names = [action.name for action in bpy.data.actions]
    for test in (
        lambda name: name == clip,
        lambda name: clip in name.split("|"),
        lambda name: any(name == clip + "_" + item.name for item in bpy.data.objects),
        lambda name: name.startswith(clip + "_"),
        lambda name: any(part.startswith(clip + "_") for part in name.split("|")),
    ):
        found = [name for name in names if test(name)]
        if found:
            return found
    return []


def box(graph, hidden):
    low, high = [1e30] * 3, [-1e30] * 3
    for item in bpy.data.objects:
        if item.type != "MESH" or item.name in hidden or item.hide_get() or not item.visible_get():
            continue
        if item.find_armature() is None and item.parent_type != "BONE":
            continue
        made = item.evaluated_get(graph)
        mesh = made.to_mesh()
        points = numpy.empty(3 * len(mesh.vertices))
        mesh.vertices.foreach_get("co", points)
        points = points.reshape(-1, 3)
        matrix = numpy.array(made.matrix_world)
        points = points @ matrix[:3, :3].T + matrix[:3, 3]
        points = numpy.stack([points[:, 0], points[:, 2], -points[:, 1]], axis=1)
        if len(points):
            low = [min(a, b) for a, b in zip(low, points.min(axis=0))]
            high = [max(a, b) for a, b in zip(high, points.max(axis=0))]
        made.to_mesh_clear()
    return low + high


def main():
    path, hidden = sys.argv[sys.argv.index("--") + 1 :]
    bpy.ops.wm.read_factory_settings(use_empty=True)
    fbx = path.endswith(".fbx")
    if fbx:
        bpy.ops.import_scene.fbx(filepath=path)
    else:
        bpy.ops.import_scene.gltf(filepath=path)
    scene = bpy.context.scene
    armatures = [item for item in bpy.data.objects if item.type == "ARMATURE"]
    for item in bpy.data.objects:
        if item.animation_data is not None:
            for track in item.animation_data.nla_tracks:
                track.mute = True
    rate = scene.render.fps / scene.render.fps_base
    for line in sys.stdin:
        clip, seconds = line.rstrip("\n").split("\t")
        actions = action_of(clip)
        if not actions:
            print("NONE", clip, sep="\t")
            continue
        for armature in armatures:
            if armature.animation_data is None:
                armature.animation_data_create()
            mine = [name for name in actions if name.endswith(armature.name) or name.startswith(armature.name)]
            armature.animation_data.action = bpy.data.actions[(mine or actions)[0]]
        frame = float(seconds) * rate + (1 if fbx else 0)
        scene.frame_set(int(frame), subframe=frame - int(frame))
        print("BOX", clip, seconds, "\t".join("%.7f" % value for value in box(bpy.context.evaluated_depsgraph_get(), hidden.split(","))), sep="\t")


main()
