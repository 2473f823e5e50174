/* The shell programs that run beside the model. What varies comes in as arguments or environment,
 * never as text in the program. They keep to POSIX sh, and use no "$$", which the kubelet would
 * take for itself. */
#pragma once

/* $DATA_URLS (space-separated) into $DATA_VOLUME_PATH. For curlimages/curl. */
extern const char script_download[];

/* $1 image, $2 target: unpacks the image and moves its /data to the target. For skopeo. */
extern const char script_pull[];

/* $1 results folder, $2 image, $3 manifest annotations (JSON), $4 sentinel file: waits for the
 * sentinel, pushes the adapter as an image, and ends the container `pause` with its own end, so
 * that the Job completes; ends in failure when the training ended without the sentinel. For oras.
 */
extern const char script_push[];
