/* A library with NVML's interface and one card, 4e0a:07:00.0, for tests. */
#include <stdio.h>
#include <string.h>

typedef unsigned int u32;
typedef unsigned long long u64;

static int card;
static u32 locked;

int nvmlInitWithFlags(u32 flags) { return flags ? 2 : 0; }
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int status) { return status == 4 ? "Insufficient Permissions" : "Not Supported"; }

static int text(char *to, u32 bytes, const char *from) {
    if (strlen(from) + 1 > bytes) return 7;
    strcpy(to, from);
    return 0;
}

int nvmlSystemGetDriverVersion(char *to, u32 bytes) { return text(to, bytes, "535.104.05"); }
int nvmlDeviceGetCount_v2(u32 *n) { *n = 1; return 0; }

int nvmlDeviceGetHandleByIndex_v2(u32 i, void **handle) {
    if (i) return 2;
    *handle = &card;
    return 0;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle) {
    if (strcmp(uuid, "GPU-3d5a1c2e-0b1f-4c6d-9e8a-7b6c5d4e3f21")) return 6;
    *handle = &card;
    return 0;
}

int nvmlDeviceGetName(void *handle, char *to, u32 bytes) {
    return handle == &card ? text(to, bytes, "NVIDIA A100-SXM4-40GB") : 2;
}

int nvmlDeviceGetUUID(void *handle, char *to, u32 bytes) {
    return handle == &card ? text(to, bytes, "GPU-3d5a1c2e-0b1f-4c6d-9e8a-7b6c5d4e3f21") : 2;
}

typedef struct { u64 total, free, used; } memory;

int nvmlDeviceGetMemoryInfo(void *handle, memory *to) {
    to->total = 42949672960ull;
    to->free = 42000000000ull;
    to->used = 949672960ull;
    return handle == &card ? 0 : 2;
}

int nvmlDeviceGetCudaComputeCapability(void *handle, int *major, int *minor) {
    *major = 8;
    *minor = 0;
    return handle == &card ? 0 : 2;
}

typedef struct { char legacy[16]; u32 domain, bus, device, product, subsystem; char id[32]; } pci;

int nvmlDeviceGetPciInfo_v3(void *handle, pci *to) {
    strcpy(to->legacy, "4E0A:07:00.0");
    to->domain = 0x4e0a;
    to->bus = 7;
    to->device = 0;
    to->product = 0x20b010de;
    to->subsystem = 0x144e10de;
    strcpy(to->id, "00004E0A:07:00.0");
    return handle == &card ? 0 : 2;
}

int nvmlDeviceGetClockInfo(void *handle, int clock, u32 *mhz) {
    if (clock != 1 && clock != 2) return 2;
    *mhz = clock == 2 ? 1215 : locked ? locked : 300;
    return handle == &card ? 0 : 2;
}

int nvmlDeviceGetClock(void *handle, int clock, int which, u32 *mhz) {
    if (clock != 1 || which != 2) return 2;
    *mhz = 1095;
    return handle == &card ? 0 : 2;
}

int nvmlDeviceGetCurrentClocksEventReasons(void *handle, u64 *bits) { *bits = 0x24; return handle != &card; }
int nvmlDeviceGetPowerUsage(void *handle, u32 *mw) { *mw = 61530; return handle != &card; }
int nvmlDeviceGetTotalEnergyConsumption(void *handle, u64 *mj) { *mj = 5000000123ull; return handle != &card; }

int nvmlDeviceGetTemperature(void *handle, int sensor, u32 *celsius) {
    *celsius = 34;
    return handle == &card && sensor == 0 ? 0 : 2;
}

/* The power limit is not known to this driver; its own clock is. */
int nvmlDeviceSetGpuLockedClocks(void *handle, u32 least, u32 most) {
    if (handle != &card || least != most || least > 10000) return 2;
    locked = least;
    return 0;
}

int nvmlDeviceResetGpuLockedClocks(void *handle) { locked = 0; return handle != &card; }

typedef struct { u32 pid; u64 bytes; u32 instance, compute; } process;

int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, u32 *n, process *to) {
    u32 room = *n;
    *n = 2;
    if (room < 2) return 7;
    memset(to, 0, 2 * sizeof *to);
    to[0].pid = 1;
    to[1].pid = 2;
    return handle != &card;
}

typedef struct { u32 pid; u64 us; u32 sm, memory, encoder, decoder; } sample;

int nvmlDeviceGetProcessUtilization(void *handle, sample *to, u32 *n, u64 since) {
    if (!to) { *n = 2; return 7; }
    memset(to, 0, 2 * sizeof *to);
    to[0].pid = 1;
    to[0].us = since + 1000;
    to[1].pid = 2;
    to[1].us = since + 2000;
    to[1].sm = 40;
    *n = 2;
    return handle != &card;
}
