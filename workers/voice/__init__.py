"""Voice processes: engines that compute on this machine run in processes of their own, apart from the worker."""
