#include "base/plant.h"

#ifdef ETCHED_PLANTED
enum plant plant_active = PLANT_NONE;
#else
/* A file of its own must not be empty. */
extern const int plant_none;
const int plant_none = 0;
#endif
