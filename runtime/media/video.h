/* video.h - the frames of a film, with their times, decoded by ffmpeg as a child process.
 *
 * ffmpeg reads the file through a descriptor of ours, whatever the file is called, and may open
 * nothing that the file names (playlists are no films here); it is kept from writing files and from
 * taking more than VIDEO_MEMORY. Frames come upright (rotation applied), in the order they are
 * shown, each exactly once, however uneven their times. A film that ends in the middle gives the
 * frames that are there.
 *
 * Ownership: video_open copies what it is given and duplicates the descriptor; video_free ends the
 * process. Threads: video_open on a thread that lives as long as the process (core/launch.h says
 * why); one thread at a time calls video_next, which waits; video_stop may be called meanwhile. */
#ifndef STANCE_MEDIA_VIDEO_H
#define STANCE_MEDIA_VIDEO_H

#include "media/image.h"

/* Bytes of ffmpeg's own data. */
#define VIDEO_MEMORY ((size_t)2 << 30)

/* Seconds that ffmpeg may take over one frame. */
enum { VIDEO_SILENCE = 60 };

struct video;

struct video_options {
    int fd;           /* the film, a regular file */
    const char *name; /* in messages */
    uint32_t every;   /* gives every n-th frame, from the first; 0 and 1: all */
};

/* ERR_UNSUPPORTED when there is no ffmpeg; an error, too, when it cannot be limited. What is wrong
 * with the film is told by video_next. */
int video_open(const struct video_options *options, struct video **out, struct err *err);
void video_free(struct video *video);

/* The next frame (the caller's to image_deinit) and its time in seconds. Returns 1, 0 after the
 * last one, or a negative code: ERR_CORRUPT with ffmpeg's last words, ERR_TOO_LARGE, ERR_TIMEOUT,
 * ERR_CANCELLED after video_stop, ERR_NO_MEMORY. */
int video_next(struct video *video, struct image *frame, double *time, struct err *err);

/* Kills the process, which ends a video_next that waits. Any thread. */
void video_stop(struct video *video);

#endif
