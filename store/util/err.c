/* SPDX-License-Identifier: Apache-2.0 */
#include "store/util/err.h"

#include <stdarg.h>
#include <stdio.h>

int err_set(struct errmsg *err, int errnum, const char *fmt, ...)
{
	if (err) {
		va_list ap;

		va_start(ap, fmt);
		vsnprintf(err->text, sizeof(err->text), fmt, ap);
		va_end(ap);
	}
	return -errnum;
}
