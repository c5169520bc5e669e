/* What this program calls itself, and whose API it speaks: clients of etcd
 * read the latter from /version and choose their behaviour by it. */
#ifndef ETCHED_BASE_VERSION_H
#define ETCHED_BASE_VERSION_H

#define ETCHED_VERSION "0.1.0"
#define ETCHED_API_VERSION "3.6.0"
#define ETCHED_CLUSTER_API_VERSION "3.6.0"

#endif
