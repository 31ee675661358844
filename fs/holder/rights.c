/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/holder/rights.h"

#include <string.h>

#include "fs/capabilities.h"
#include "store/util/log.h"

static void keep_of(uint64_t wanted)
{
	uint64_t permitted;
	int r = capabilities_permitted(&permitted);

	if (!r)
		r = capabilities_keep(permitted & wanted);
	if (r)
		log_warning("privileges that are not needed are kept: %s", strerror(-r));
}

/* CAP_SETPCAP: for the bounding sets of the first daemon and, then, of this process. */
void rights_begin(void)
{
	keep_of(CAPABILITIES_ALWAYS | CAPABILITIES_OVER_MODES | CAPABILITY(CAP_SETPCAP));
}

void rights_narrow(uint64_t privileges)
{
	if (privileges & RIGHTS_TOLD)
		keep_of(privileges | CAPABILITY(CAP_SYS_ADMIN));
}
