// idmap: user namespaces that exist for their id mappings alone. Internal to rootfs/.
//
// mount_setattr(2), MOUNT_ATTR_IDMAP; Documentation/filesystems/idmappings.rst.
#pragma once

#include "base/err.h"
#include "oci-spec/types.h"

// Makes a user namespace with these mappings, by way of a process that lives as long as the call.
// Returns a descriptor of it. Needs the rights to map all of the ids.
int idmap_userns(const struct oci_id_mappings *uids, const struct oci_id_mappings *gids,
		 struct err *err);
