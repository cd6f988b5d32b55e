/* video.c - frames come as PAM pictures on one pipe, their times in ffmpeg's log on another.
 *
 * The log is the filter `showinfo`'s, one line a frame before that frame leaves. Behind it the
 * frames get even times, so that ffmpeg neither drops nor doubles any to keep a rate.
 * PAM: https://netpbm.sourceforge.net/doc/pam.html */
#include "media/video.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/launch.h"

extern char **environ;

enum {
    LINE_SIZE = 512,     /* of the log; what is longer is cut */
    HEAD_SIZE = 256,     /* of a PAM */
    TIMES_MAX = 1024,    /* frames that ffmpeg may be ahead of what we have read */
    PIPE_SIZE = 1 << 20, /* bytes, where the system lets us */
};

struct video {
    pthread_mutex_t lock; /* of `pid`, so that none is killed that has been reaped */
    pid_t pid;
    atomic_bool stopped;
    int frames, log; /* pipes; the log's is -1 once it has ended */
    char name[128];
    char line[LINE_SIZE];
    size_t line_used;
    double times[TIMES_MAX]; /* of frames to come, oldest at first_time */
    size_t first_time, time_count;
    double last_time;
    uint64_t count;            /* frames given */
    char complaint[LINE_SIZE]; /* the last line of the log that tells of an error */
};

/* -- The log ----------------------------------------------------------------------------------- */

static void note_time(struct video *video, const char *text) {
    char *end;
    double time = strtod(text, &end);
    if (end == text || !isfinite(time)) /* "NOPTS" */
        time = NAN;
    if (video->time_count == TIMES_MAX) /* cannot be: the log is read when no frame waits */
        return;
    video->times[(video->first_time + video->time_count++) % TIMES_MAX] = time;
}

/* "[mov,mp4 @ 0x5581] [error] moov atom not found" */
static void note_complaint(struct video *video, const char *line) {
    static const char *const levels[] = {"[error] ", "[fatal] ", "[panic] "};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        const char *at = strstr(line, levels[i]);
        if (at == NULL)
            continue;
        at += strlen(levels[i]);
        static const char input[] = "file:/dev/stdin: ";
        if (strncmp(at, input, sizeof input - 1) == 0)
            at += sizeof input - 1;
        snprintf(video->complaint, sizeof video->complaint, "%s", at);
    }
}

static void end_line(struct video *video) {
    video->line[video->line_used] = 0;
    video->line_used = 0;
    static const char showinfo[] = "[Parsed_showinfo"; /* a film's own title may hold the word */
    const char *time = strstr(video->line, " pts_time:");
    if (strncmp(video->line, showinfo, sizeof showinfo - 1) == 0 && time != NULL)
        note_time(video, time + strlen(" pts_time:"));
    else
        note_complaint(video, video->line);
}

static void read_log(struct video *video) {
    char bytes[4096];
    ssize_t got = read(video->log, bytes, sizeof bytes);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (got <= 0) {
        close(video->log);
        video->log = -1;
    }
    for (ssize_t i = 0; i < got; i++) {
        if (bytes[i] == '\n' || bytes[i] == '\r')
            end_line(video);
        else if (video->line_used + 1 < LINE_SIZE)
            video->line[video->line_used++] = bytes[i];
    }
}

/* Waits for something on the pipe of frames (when `frames`), or else in the log, which is read at
 * once. Returns 1 when frames can be read, 0 when only the log could. */
static int wait_for(struct video *video, bool frames, struct err *err) {
    struct pollfd fds[2] = {{frames ? video->frames : -1, POLLIN, 0}, {video->log, POLLIN, 0}};
    int ready = poll(fds, 2, VIDEO_SILENCE * 1000);
    if (atomic_load(&video->stopped))
        return err_set(err, ERR_CANCELLED, "reading %s was stopped", video->name);
    if (ready < 0 && errno != EINTR)
        return err_set_errno(err, errno, "cannot wait for ffmpeg");
    if (ready == 0)
        return err_set(err, ERR_TIMEOUT, "%s: ffmpeg gave nothing for %d s", video->name,
                       VIDEO_SILENCE);
    if (ready > 0 && fds[0].revents == 0)
        read_log(video);
    return ready > 0 && fds[0].revents != 0;
}

/* -- Frames ------------------------------------------------------------------------------------ */

/* Reads `size` bytes. Returns how many came before the pipe's end, or a negative code. */
static ssize_t read_frames(struct video *video, void *to, size_t size, struct err *err) {
    size_t used = 0;
    while (used < size) {
        int code = wait_for(video, true, err);
        if (code < 0)
            return code;
        if (code == 0)
            continue;
        ssize_t got = read(video->frames, (char *)to + used, size - used);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got < 0)
            return err_set_errno(err, errno, "cannot read ffmpeg's frames");
        if (got == 0)
            break;
        used += (size_t)got;
    }
    return (ssize_t)used;
}

static bool read_field(const char *head, const char *name, uint32_t *out) {
    const char *at = strstr(head, name);
    return at != NULL && sscanf(at + strlen(name), " %u", out) == 1;
}

/* "P7\nWIDTH 640\nHEIGHT 480\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n". Returns 1, 0 at
 * the end of the film, or a negative code. */
static int read_head(struct video *video, uint32_t *width, uint32_t *height, struct err *err) {
    static const char last[] = "ENDHDR\n";
    char head[HEAD_SIZE];
    size_t used = 0;
    /* Byte by byte: what follows is the frame, and most of this waits in the pipe already. */
    while (used < sizeof head - 1) {
        ssize_t got = read_frames(video, head + used, 1, err);
        if (got < 0)
            return (int)got;
        if (got == 0 && used == 0)
            return 0;
        used += (size_t)got;
        head[used] = 0;
        size_t tail = sizeof last - 1;
        if (got == 0 || (used >= tail && memcmp(head + used - tail, last, tail) == 0))
            break;
    }
    uint32_t depth = 0;
    if (strncmp(head, "P7\n", 3) != 0 || !read_field(head, "\nWIDTH", width) ||
        !read_field(head, "\nHEIGHT", height) || !read_field(head, "\nDEPTH", &depth) ||
        depth != 4 || *width == 0 || *height == 0)
        return err_set(err, ERR_CORRUPT, "%s: ffmpeg gave something that is no frame", video->name);
    if (*width > IMAGE_MAX_SIDE || *height > IMAGE_MAX_SIDE ||
        (uint64_t)*width * *height > IMAGE_MAX_PIXELS)
        return err_set(err, ERR_TOO_LARGE, "%s has frames of %u x %u pixels", video->name, *width,
                       *height);
    return 1;
}

static int take_time(struct video *video, double *time, struct err *err) {
    while (video->time_count == 0 && video->log >= 0) {
        int code = wait_for(video, false, err);
        if (code < 0)
            return code;
    }
    double next = NAN;
    if (video->time_count > 0) {
        next = video->times[video->first_time];
        video->first_time = (video->first_time + 1) % TIMES_MAX;
        video->time_count--;
    }
    /* A frame without a time, as in a bare H.264 stream: as if there were 30 a second. */
    if (isnan(next))
        next = video->count == 0 ? 0 : video->last_time + 1.0 / 30;
    *time = video->last_time = next;
    return 0;
}

/* Waits for the process's end; returns its status. */
static int reap(struct video *video) {
    siginfo_t info;
    int status = 0;
    if (video->pid == 0)
        return 0;
    while (waitid(P_PID, (id_t)video->pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
    }
    pthread_mutex_lock(&video->lock);
    waitpid(video->pid, &status, 0);
    video->pid = 0;
    pthread_mutex_unlock(&video->lock);
    return status;
}

/* The pipe has ended: well, when ffmpeg says so and gave something. */
static int end_film(struct video *video, struct err *err) {
    while (video->log >= 0) {
        int code = wait_for(video, false, err);
        if (code < 0)
            return code;
    }
    int status = reap(video);
    if (status == 0 && video->count > 0)
        return 0;
    const char *why = video->complaint;
    if (WIFSIGNALED(status))
        return err_set(err, ERR_CORRUPT, "%s: ffmpeg was ended by signal %d%s%s", video->name,
                       WTERMSIG(status), *why ? " after: " : "", why);
    if (strstr(why, "matches no streams") != NULL)
        why = "there is no picture in it";
    return err_set(err, ERR_CORRUPT, "%s: %s", video->name, *why ? why : "it has no frames");
}

int video_next(struct video *video, struct image *frame, double *time, struct err *err) {
    uint32_t width, height;
    int code = read_head(video, &width, &height, err);
    if (code <= 0)
        return code < 0 ? code : end_film(video, err);
    code = image_init(frame, width, height, err);
    if (code != 0)
        return code;
    size_t size = (size_t)width * height * 4;
    ssize_t got = read_frames(video, frame->rgba, size, err);
    if (got >= 0 && (size_t)got < size)
        got = err_set(err, ERR_CORRUPT, "%s: ffmpeg ended within a frame", video->name);
    code = got < 0 ? (int)got : take_time(video, time, err);
    if (code != 0) {
        image_deinit(frame);
        return code;
    }
    video->count++;
    return 1;
}

/* -- The process ------------------------------------------------------------------------------- */

/* Formats whose files may hold films; those that name other files are not among them. */
static const char formats[] =
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,ogg,flv,asf,gif,apng,webp_pipe,h264,hevc,av1,obu,ivf,"
    "m4v,mjpeg,mxf,nut,rm,wtv,dv,yuv4mpegpipe,mpjpeg,vob,3gp";

/* To `most`, or less where we are held to less. */
static int limit(pid_t pid, int resource, rlim_t most, struct err *err) {
    struct rlimit now;
    int failed = prlimit(pid, resource, NULL, &now);
    if (failed == 0 && now.rlim_max > most)
        now.rlim_max = most;
    now.rlim_cur = now.rlim_max;
    if (failed == 0)
        failed = prlimit(pid, resource, &now, NULL);
    return failed == 0 ? 0
                       : err_set_errno(err, errno,
                                       "no film is read: ffmpeg cannot be kept from writing files "
                                       "and taking all memory (prlimit)");
}

static int launch(struct video *video, const struct video_options *options, int frames, int log,
                  struct err *err) {
    char filters[128];
    snprintf(filters, sizeof filters,
             "select='not(mod(n,%u))',showinfo=checksum=0,settb=1/25,setpts=N",
             options->every > 1 ? options->every : 1);
    const char *const argv[] = {"ffmpeg",
                                "-nostdin",
                                "-hide_banner",
                                "-nostats",
                                "-loglevel",
                                "level+info",
                                "-protocol_whitelist",
                                "file",
                                "-format_whitelist",
                                formats,
                                "-threads",
                                "2",
                                "-max_pixels",
                                "67108864",
                                "-i",
                                "file:/dev/stdin",
                                "-map",
                                "0:V:0",
                                "-an",
                                "-sn",
                                "-dn",
                                "-vf",
                                filters,
                                "-r",
                                "25",
                                "-c:v",
                                "pam",
                                "-pix_fmt",
                                "rgba",
                                "-f",
                                "image2pipe",
                                "pipe:3",
                                NULL};
    const struct launch what = {argv, environ, options->fd, log, frames};
    int code = launch_process(&what, &video->pid, err);
    if (code == ERR_NOT_FOUND)
        return err_set(err, ERR_UNSUPPORTED,
                       "ffmpeg is needed to read films and is not there: apt install ffmpeg");
    if (code == 0)
        code = limit(video->pid, RLIMIT_CORE, 0, err);
    if (code == 0)
        code = limit(video->pid, RLIMIT_FSIZE, 0, err);
    if (code == 0)
        code = limit(video->pid, RLIMIT_DATA, VIDEO_MEMORY, err);
    return code;
}

int video_open(const struct video_options *options, struct video **out, struct err *err) {
    int frames[2] = {-1, -1}, log[2] = {-1, -1};
    struct video *video = calloc(1, sizeof *video);
    if (video == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory to read %s", options->name);
    pthread_mutex_init(&video->lock, NULL);
    snprintf(video->name, sizeof video->name, "%s", options->name);
    int code;
    if (pipe2(frames, O_CLOEXEC) < 0 || pipe2(log, O_CLOEXEC) < 0) {
        code = err_set_errno(err, errno, "cannot read %s", options->name);
    } else {
        (void)fcntl(frames[0], F_SETPIPE_SZ, PIPE_SIZE); /* fewer turns; refused beyond a quota */
        code = launch(video, options, frames[1], log[1], err);
    }
    close(frames[1]);
    close(log[1]);
    video->frames = frames[0];
    video->log = log[0];
    if (code != 0) {
        video_free(video);
        return code;
    }
    *out = video;
    return 0;
}

void video_stop(struct video *video) {
    atomic_store(&video->stopped, true);
    pthread_mutex_lock(&video->lock);
    if (video->pid > 0)
        kill(-video->pid, SIGKILL); /* it leads a group of its own */
    pthread_mutex_unlock(&video->lock);
}

void video_free(struct video *video) {
    if (video == NULL)
        return;
    video_stop(video);
    reap(video);
    if (video->frames >= 0)
        close(video->frames);
    if (video->log >= 0)
        close(video->log);
    pthread_mutex_destroy(&video->lock);
    free(video);
}
