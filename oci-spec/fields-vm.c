// config-vm.md.
#include "oci-spec/fields.h"

// The `path` of hypervisor and image is REQUIRED, but the specification's own Go structures can't
// leave these objects out: where nobody set them, their paths are empty.
static const struct field hypervisor_fields[] = {
	{ "path", VALUE(oci_vm_hypervisor, path), .flags = FIELD_ABSOLUTE },
	{ "parameters", VALUE(oci_vm_hypervisor, parameters) },
};
static const struct object hypervisor_object = OBJECT_OF(oci_vm_hypervisor, hypervisor_fields);

static const struct field kernel_fields[] = {
	{ "path", VALUE(oci_vm_kernel, path), .flags = FIELD_REQUIRED | FIELD_ABSOLUTE },
	{ "parameters", VALUE(oci_vm_kernel, parameters) },
	{ "initrd", VALUE(oci_vm_kernel, initrd), .flags = FIELD_ABSOLUTE },
};
static const struct object kernel_object = OBJECT_OF(oci_vm_kernel, kernel_fields);

static const struct words format_words = WORDS(WORD("raw"), WORD("qcow2"), WORD("vdi"),
					       WORD("vmdk"), WORD("vhd"));

static const struct field image_fields[] = {
	{ "path", VALUE(oci_vm_image, path), .flags = FIELD_ABSOLUTE },
	{ "format", VALUE(oci_vm_image, format), .words = &format_words },
};
static const struct object image_object = OBJECT_OF(oci_vm_image, image_fields);

static const struct field iomem_fields[] = {
	{ "firstGFN", VALUE(oci_vm_iomem, first_gfn) },
	{ "firstMFN", VALUE(oci_vm_iomem, first_mfn), .flags = FIELD_REQUIRED },
	{ "nrMFNs", VALUE(oci_vm_iomem, nr_mfns), .flags = FIELD_REQUIRED },
};
static const struct object iomem_object = OBJECT_OF(oci_vm_iomem, iomem_fields);

static const struct field hw_config_fields[] = {
	{ "deviceTree", VALUE(oci_vm_hw_config, device_tree) },
	{ "vcpus", VALUE(oci_vm_hw_config, vcpus) },
	{ "memory", VALUE(oci_vm_hw_config, memory) },
	{ "dtdevs", VALUE(oci_vm_hw_config, dtdevs) },
	{ "iomems", OBJECTS(oci_vm_hw_config, iomems, iomem_object) },
	{ "irqs", NUMBERS(oci_vm_hw_config, irqs) },
};
static const struct object hw_config_object = OBJECT_OF(oci_vm_hw_config, hw_config_fields);

static const struct field vm_fields[] = {
	{ "hypervisor", POINTER(oci_vm, hypervisor, hypervisor_object) },
	{ "kernel", POINTER(oci_vm, kernel, kernel_object), .flags = FIELD_REQUIRED },
	{ "image", POINTER(oci_vm, image, image_object) },
	{ "hwConfig", POINTER(oci_vm, hw_config, hw_config_object) },
};
const struct object vm_object = OBJECT_OF(oci_vm, vm_fields);
