/* A Vulkan layer between the program and the driver that lets things go wrong, for tests/faults/mod.rs:
 *
 *   EDGEWALK_LOST_AFTER=n        the device is lost after n submissions
 *   EDGEWALK_MEMORY=bytes        there is no more memory of the device than this
 *
 * The declarations are those of the Vulkan specification and of the loader's interface to layers, as far as they are used here,
 * so that no headers need be installed. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

enum { SUCCESS = 0, OUT_OF_DEVICE_MEMORY = -2, INITIALIZATION_FAILED = -3, DEVICE_LOST = -4 };
enum { INSTANCE_CHAIN = 47, DEVICE_CHAIN = 48, LINK_INFO = 0 };

typedef void (*Function)(void);
typedef Function (*Lookup)(void *object, const char *name);

/* VkLayerInstanceLink and VkLayerDeviceLink; of the former, the second function is for physical devices. */
struct link {
    struct link *next;
    Lookup instance_lookup;
    Lookup lookup;
};

/* VkLayerInstanceCreateInfo and VkLayerDeviceCreateInfo. */
struct chain {
    int type;
    struct chain *next;
    int function;
    struct link *link;
};

struct create_info {
    int type;
    struct chain *next;
};

struct allocate_info {
    int type;
    const void *next;
    uint64_t size;
    uint32_t kind;
};

struct negotiation {
    int type;
    void *next;
    uint32_t version;
    Lookup instance_lookup, device_lookup, physical_device_lookup;
};

static Lookup next_instance, next_device;
static void *the_instance, *the_device;
static long submissions;
static uint64_t allocated;
/* What was allocated, to be taken off when it is freed. */
static struct { uint64_t memory, size; } allocations[4096];

static Function instance_lookup(void *instance, const char *name);
static Function device_lookup(void *device, const char *name);

static struct link *link_of(const struct create_info *info, int type) {
    struct chain *chain = info->next;
    while (chain && !(chain->type == type && chain->function == LINK_INFO)) chain = chain->next;
    if (!chain) return NULL;
    struct link *link = chain->link;
    chain->link = link->next;
    return link;
}

static int create_instance(const struct create_info *info, const void *allocator, void **instance) {
    struct link *link = link_of(info, INSTANCE_CHAIN);
    if (!link) return INITIALIZATION_FAILED;
    next_instance = link->instance_lookup;
    int (*create)(const void *, const void *, void **) = (void *)next_instance(NULL, "vkCreateInstance");
    int result = create(info, allocator, instance);
    if (result == SUCCESS) the_instance = *instance;
    return result;
}

static int create_device(void *physical, const struct create_info *info, const void *allocator, void **device) {
    struct link *link = link_of(info, DEVICE_CHAIN);
    if (!link) return INITIALIZATION_FAILED;
    next_device = link->lookup;
    int (*create)(void *, const void *, const void *, void **) =
        (void *)link->instance_lookup(the_instance, "vkCreateDevice");
    int result = create(physical, info, allocator, device);
    if (result == SUCCESS) the_device = *device;
    return result;
}

static int queue_submit(void *queue, uint32_t count, const void *submits, uint64_t fence) {
    const char *most = getenv("EDGEWALK_LOST_AFTER");
    if (most && submissions++ >= atol(most)) return DEVICE_LOST;
    int (*submit)(void *, uint32_t, const void *, uint64_t) = (void *)next_device(the_device, "vkQueueSubmit");
    return submit(queue, count, submits, fence);
}

static int allocate_memory(void *device, const struct allocate_info *info, const void *allocator, uint64_t *memory) {
    const char *most = getenv("EDGEWALK_MEMORY");
    if (most && allocated + info->size > strtoull(most, NULL, 10)) return OUT_OF_DEVICE_MEMORY;
    int (*allocate)(void *, const void *, const void *, uint64_t *) = (void *)next_device(device, "vkAllocateMemory");
    int result = allocate(device, info, allocator, memory);
    for (int i = 0; result == SUCCESS && i < 4096; i++) {
        if (allocations[i].memory) continue;
        allocations[i].memory = *memory;
        allocations[i].size = info->size;
        allocated += info->size;
        break;
    }
    return result;
}

static void free_memory(void *device, uint64_t memory, const void *allocator) {
    void (*release)(void *, uint64_t, const void *) = (void *)next_device(device, "vkFreeMemory");
    for (int i = 0; memory && i < 4096; i++) {
        if (allocations[i].memory != memory) continue;
        allocated -= allocations[i].size;
        allocations[i].memory = 0;
        break;
    }
    release(device, memory, allocator);
}

static Function own(const char *name) {
    static const struct { const char *name; void *function; } table[] = {
        {"vkCreateInstance", create_instance},   {"vkCreateDevice", create_device},
        {"vkQueueSubmit", queue_submit},         {"vkAllocateMemory", allocate_memory},
        {"vkFreeMemory", free_memory},           {"vkGetInstanceProcAddr", instance_lookup},
        {"vkGetDeviceProcAddr", device_lookup},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i].name, name)) return (Function)table[i].function;
    return NULL;
}

static Function instance_lookup(void *instance, const char *name) {
    Function found = own(name);
    return found ? found : next_instance(instance, name);
}

static Function device_lookup(void *device, const char *name) {
    Function found = own(name);
    return found ? found : next_device(device, name);
}

EXPORT int vkNegotiateLoaderLayerInterfaceVersion(struct negotiation *negotiation) {
    negotiation->version = 2;
    negotiation->instance_lookup = instance_lookup;
    negotiation->device_lookup = device_lookup;
    negotiation->physical_device_lookup = NULL;
    return SUCCESS;
}
