/* cppcheck.h -- macros of libraries that cppcheck does not look into. */
#define json_array_foreach(a, i, v)  for ((i) = 0; ((v) = json_array_get(a, i)); (i)++)
#define json_object_foreach(o, k, v) for ((k) = json_next(o); ((v) = json_object_get(o, k));)
