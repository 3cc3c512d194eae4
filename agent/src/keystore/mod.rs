//! Keys, where they are: blocking sessions on threads of their own behind one asynchronous door.
