/*
 * What a native program needs for the work of a pull: each layer is received, hashed, decoded, hashed again and written at its place, by one
 * thread per layer at a time, and the disk is on the disk (fsync) when it ends. The bound of the bench; it is no part of the product.
 *
 *   cc -O3 -march=native native-pull.c -o native-pull -llz4 -lcrypto -lpthread
 *   native-pull PORT DISK DISK-BYTES THREADS < layers
 *
 * A line for each layer: path of its blob, bytes, hex digest, offset in the disk, bytes decoded, hex digest of those. 0 when all were right.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <lz4.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HISTORY = 64 << 10, WINDOW = 1 << 20, RECEIVED = 1 << 20, BLOCK = 4 << 20, PAGE = 64 << 10, MOST = 4096 };

struct layer {
  char path[512], digest[65], content[65];
  long size, offset, length;
};

static struct layer layers[MOST];
static int count, next_layer, port, disk;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

struct worker {
  int socket;
  unsigned char *in, *out, *block;
  long have, at, filled, flushed, place;
  EVP_MD_CTX *blob, *content;
};

static void check(EVP_MD_CTX *context, const char *expected) {
  unsigned char digest[32];
  char hex[65];
  EVP_DigestFinal_ex(context, digest, NULL);
  for (int i = 0; i < 32; i++) sprintf(hex + 2 * i, "%02x", digest[i]);
  if (strcmp(hex, expected) != 0) fail("digest");
}

/* Hashes and writes what was decoded since the last time; pages of zeros stay holes. */
static void flush(struct worker *w) {
  unsigned char *from = w->out + w->flushed;
  long bytes = w->filled - w->flushed;
  if (bytes == 0) return;
  EVP_DigestUpdate(w->content, from, bytes);
  for (long at = 0; at < bytes;) {
    long begin = at;
    while (at < bytes && at - begin < 256 << 10) {
      long page = bytes - at < PAGE ? bytes - at : PAGE;
      if (from[at] == 0 && memcmp(from + at, from + at + 1, page - 1) == 0) break;
      at += page;
    }
    if (at > begin && pwrite(disk, from + begin, at - begin, w->place + begin) != at - begin) fail("pwrite");
    if (at == begin) at += bytes - at < PAGE ? bytes - at : PAGE;
  }
  w->place += bytes;
  w->flushed = w->filled;
}

static unsigned char *room(struct worker *w, long bytes) {
  if (w->filled + bytes > HISTORY + WINDOW) {
    flush(w);
    memmove(w->out, w->out + w->filled - HISTORY, HISTORY);
    w->filled = w->flushed = HISTORY;
  }
  return w->out + w->filled;
}

/* Decodes the whole blocks among the first `bytes` of the block buffer. Returns how many bytes they were. */
static long decode(struct worker *w, long bytes) {
  long at = 0;
  while (bytes - at >= 4) {
    unsigned char *head = w->block + at;
    unsigned size, packed;
    if (memcmp(head, "bv4$", 4) == 0) return at + 4;
    if (bytes - at < 12) break;
    memcpy(&size, head + 4, 4);
    memcpy(&packed, head + 8, 4);
    if (size > WINDOW) fail("block");
    if (memcmp(head, "bv4-", 4) == 0) {
      if (bytes - at < 8 + (long)size) break;
      memcpy(room(w, size), head + 8, size);
      at += 8 + size;
    } else {
      if (bytes - at < 12 + (long)packed) break;
      char *to = (char *)room(w, size);
      if (LZ4_decompress_safe_usingDict((char *)head + 12, to, packed, size, to - HISTORY, HISTORY) != (int)size) fail("lz4");
      at += 12 + packed;
    }
    w->filled += size;
    if (w->filled - w->flushed >= 256 << 10) flush(w);
  }
  return at;
}

static long receive(struct worker *w, unsigned char *to, long most) {
  long got = recv(w->socket, to, most, 0);
  if (got <= 0) fail("recv");
  return got;
}

static void pull(struct worker *w, struct layer *layer) {
  char request[700];
  int asked = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", layer->path, port);
  if (send(w->socket, request, asked, 0) != asked) fail("send");
  long have = 0;
  char *end = NULL;
  while (end == NULL) {
    have += receive(w, w->in + have, RECEIVED - have - 1);
    w->in[have] = 0;
    end = strstr((char *)w->in, "\r\n\r\n");
  }
  if (strncmp((char *)w->in, "HTTP/1.1 200", 12) != 0) fail("answer");
  EVP_DigestInit_ex(w->blob, EVP_sha256(), NULL);
  EVP_DigestInit_ex(w->content, EVP_sha256(), NULL);
  memset(w->out, 0, HISTORY);
  w->filled = w->flushed = HISTORY;
  w->place = layer->offset;
  unsigned char *piece = (unsigned char *)end + 4;
  long bytes = w->in + have - piece, left = layer->size, waiting = 0;
  for (;;) {
    EVP_DigestUpdate(w->blob, piece, bytes);
    memcpy(w->block + waiting, piece, bytes);
    waiting += bytes;
    long used = decode(w, waiting);
    memmove(w->block, w->block + used, waiting - used);
    waiting -= used;
    left -= bytes;
    if (left == 0) break;
    bytes = receive(w, w->in, left < RECEIVED ? left : RECEIVED);
    piece = w->in;
  }
  flush(w);
  check(w->blob, layer->digest);
  check(w->content, layer->content);
  if (w->place != layer->offset + layer->length) fail("length");
}

static void *work(void *nothing) {
  struct worker w = {.in = malloc(RECEIVED), .out = malloc(HISTORY + WINDOW), .block = malloc(BLOCK)};
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int on = 1;
  w.socket = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(w.socket, (struct sockaddr *)&to, sizeof to) != 0) fail("connect");
  setsockopt(w.socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  w.blob = EVP_MD_CTX_new();
  w.content = EVP_MD_CTX_new();
  for (;;) {
    pthread_mutex_lock(&turn);
    int mine = next_layer++;
    pthread_mutex_unlock(&turn);
    if (mine >= count) return nothing;
    pull(&w, &layers[mine]);
  }
}

int main(int argc, char **argv) {
  if (argc != 5) return 64;
  port = atoi(argv[1]);
  disk = open(argv[2], O_CREAT | O_TRUNC | O_WRONLY, 0644);
  if (disk < 0 || ftruncate(disk, atol(argv[3])) != 0) fail(argv[2]);
  int threads = atoi(argv[4]);
  struct layer *l = layers;
  while (count < MOST && scanf("%511s %ld %64s %ld %ld %64s", l->path, &l->size, l->digest, &l->offset, &l->length, l->content) == 6) {
    count++;
    l++;
  }
  if (count == 0) return 64;
  pthread_t all[64];
  for (int i = 0; i < threads && i < 64; i++) pthread_create(&all[i], NULL, work, NULL);
  for (int i = 0; i < threads && i < 64; i++) pthread_join(all[i], NULL);
  if (fsync(disk) != 0) fail("fsync");
  return 0;
}
